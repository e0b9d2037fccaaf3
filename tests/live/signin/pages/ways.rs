//! Second factors, consent, pickers and offers.

use super::forms::Page;

pub(super) const PAGES: &[Page] = &[
    (
        "login-code",
        200,
        r##"<form action=/check/login/code method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "code",
        200,
        r##"<h1>Two-factor authentication</h1><form action=/check/code/callback method=post><label for=otp>One-time code</label><input id=otp name=code autocomplete=one-time-code inputmode=numeric>
        <label><input type=checkbox name=trust> Trust this device</label><button>Verify</button><a href=/page/unknown>Use a recovery code</a></form>"##,
    ),
    (
        "login-boxes",
        200,
        r##"<form action=/check/login/boxes method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "boxes",
        200,
        r##"<h1>Enter the code from your authenticator app</h1><form action=/check/code/callback method=post id=f></form><script>
        for (let i = 0; i < 6; i += 1) f.insertAdjacentHTML('beforeend', `<input name=code${i} maxlength=1 inputmode=numeric aria-label="Digit ${i + 1}">`);
        f.addEventListener('input', (e) => { if (e.target.value) e.target.nextElementSibling?.focus(); if ([...f.querySelectorAll('input')].every((x) => x.value) && !f.done) { f.done = 1; f.requestSubmit(); } });
        </script>"##,
    ),
    (
        "login-sent",
        200,
        r##"<form action=/check/login/sent method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "sent",
        200,
        r##"<h1>Verify</h1><p>We sent a code to your phone.</p><form action=/page/unknown method=post><input name=code autocomplete=one-time-code><button>Verify</button></form><a href=/page/methods>Try another way</a>"##,
    ),
    (
        "methods",
        200,
        r##"<h1>Verify it's you</h1><p>Two-step verification: choose a method</p><ul><li><button onclick="location='/page/unknown'">Text message</button></li><li><button onclick="location='/page/code'">Get a code from your Authenticator app</button></li></ul>"##,
    ),
    (
        "login-consent",
        200,
        r##"<form action=/check/login/consent method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "consent",
        200,
        r##"<h1>Authorize Canary</h1><p>Canary wants to access your account</p><form action=/check/any/callback method=post><input type=hidden name=prompt value=consent><button name=no value=cancel formaction=/page/unknown>Cancel</button><button name=yes>Authorize</button></form>"##,
    ),
    (
        "dev-login",
        200,
        r##"<h1>Sign-in</h1><form autocomplete=off action=/check/login/dev-consent method=post><input type=hidden name=prompt value=login><input required type=text name=login placeholder="Enter any login"><input required type=password name=password placeholder="and password"><button type=submit class="login login-submit">Sign-in</button></form><div class=login-help><a href=/page/unknown>[ Cancel ]</a></div>"##,
    ),
    (
        "dev-consent",
        200,
        r##"<h1>Authorize</h1><div class=login-client-image></div><ul><li>This is a new authorization</li><li>scopes:</li><li>offline_access</li></ul><form autocomplete=off action=/check/any/callback method=post><input type=hidden name=prompt value=consent><button autofocus type=submit class="login login-submit">Continue</button></form><div class=login-help><a href=/page/unknown>[ Cancel ]</a></div>"##,
    ),
    (
        "consent-div",
        200,
        r##"<h2>Canary möchte auf Ihr Konto zugreifen</h2><div><div role=button tabindex=0 onclick="location='/page/unknown'">Ablehnen</div><div role=button tabindex=0 onclick="location='/callback?code=1'">Zulassen</div></div>"##,
    ),
    (
        "consent-link",
        200,
        r##"<h2>Autoriser l'application ?</h2><p>Canary demande l'accès à votre profil.</p><a href=/page/unknown>Refuser</a> <a href="/callback?code=1">Autoriser</a>"##,
    ),
    (
        "consent-boxes",
        200,
        r##"<h2>Permissions requested</h2><form action=/check/any/callback method=post><label><input type=checkbox name=s1 checked> profile</label><label><input type=checkbox id=all> all of them</label><input type=submit name=deny value=Deny formaction=/page/unknown><input type=submit id=ok name=allow value="Yes, Allow" disabled></form><script>all.onchange = () => { ok.disabled = !all.checked; };</script>"##,
    ),
    (
        "consent-cookies",
        200,
        r##"<div class=cookie-banner style="position:fixed;bottom:0">We use cookies <button onclick="location='/page/unknown'">Accept all</button></div><h2>Canary is requesting access to your account</h2><button type=button onclick="location='/page/unknown'">No, thanks</button><button type=button onclick="location='/callback?code=1'">Grant access</button>"##,
    ),
    (
        "consent-confirm",
        200,
        r##"<form method=post action=/check/any/callback><h3>The application Canary would like to know:</h3><ul><li>Your e-mail</li></ul><button type=submit class=positive-button name=confirm>Accept</button><a href=/page/unknown>Refuse</a></form>"##,
    ),
    (
        "login-stay",
        200,
        r##"<form action=/check/login/stay method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "stay",
        200,
        r##"<form action=/check/any/callback method=post><h2>Stay signed in?</h2><label><input type=checkbox name=d> Don't show this again</label><input type=button id=idBtn_Back value=No><input type=submit id=idSIButton9 value=Yes></form>"##,
    ),
    (
        "login-offer",
        200,
        r##"<form action=/check/login/offer method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "offer",
        200,
        r##"<h1>Sign in faster next time with a passkey</h1><button onclick="location='/page/unknown'">Create a passkey</button><button onclick="location='/callback?code=1'">Not now</button>"##,
    ),
    (
        "picker",
        200,
        r##"<h1>Pick an account</h1><div role=button tabindex=0 onclick="location='/page/unknown'">Other Person<br>other@example.com</div><div role=button tabindex=0 onclick="location='/page/password-page'">Canary<br>canary@example.com</div><div role=button tabindex=0 onclick="location='/page/unknown'">Use another account</div>"##,
    ),
    (
        "picker-other",
        200,
        r##"<h1>Choose an account</h1><ul><li role=link tabindex=0 onclick="location='/page/unknown'">other@example.com</li><li role=link tabindex=0 onclick="location='/page/classic'">Use another account</li></ul>"##,
    ),
    (
        "connectors",
        200,
        r##"<h2>Log in to Dex</h2><a href=/page/classic target=_self><button>Log in with Email</button></a><a href=/page/unknown><button>Log in with GitHub</button></a><a href=/page/unknown><button>Log in with Google</button></a>"##,
    ),
    (
        "passkey-first",
        200,
        r##"<h2>Face, fingerprint, PIN or security key</h2><p>Your device will open a window.</p><a href=/page/password-page>Use your password instead</a>"##,
    ),
    (
        "as-who",
        200,
        r##"<p>You are signed in as canary@example.com</p><form action=/callback method=get><input type=hidden name=code value=1><button>Continue as canary@example.com</button></form><a href=/page/unknown>Log out</a>"##,
    ),
    (
        "all-in-one",
        200,
        r##"<form action=/check/login/callback method=post><input name=username placeholder=Username><input type=password name=password><input name=code placeholder="One-time code (if enabled)"><button>Sign in</button></form>"##,
    ),
];
