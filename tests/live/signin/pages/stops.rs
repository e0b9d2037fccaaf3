//! Pages at which a sign-in ends.

use super::forms::Page;

pub(super) const PAGES: &[Page] = &[
    (
        "refused",
        200,
        r##"<form action=/check/login/refused-again method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "refused-again",
        200,
        r##"<div class=alert-error>Invalid username or password.</div><form action=/check/login/refused-again method=post><input name=username value=canary@example.com><input type=password name=password><button>Sign in</button></form><p>Is your account locked? <a href=/page/unknown>Unlock</a></p>"##,
    ),
    (
        "refused-silent",
        200,
        r##"<form action=/check/login/refused-silent method=post><input name=username><input type=password name=password><button>Sign in</button></form><p>If your session has expired or your account is locked, call us.</p>"##,
    ),
    (
        "refused-spa",
        200,
        r##"<form><input name=username placeholder=Username><input type=password name=password><button>Sign in</button><p id=m></p></form><script>
        document.querySelector('form').onsubmit = async (e) => { e.preventDefault(); e.submitter.disabled = true; await fetch('/api/login', {method: 'POST', body: new URLSearchParams(new FormData(e.target))});
        setTimeout(() => { m.textContent = 'Das hat leider nicht geklappt.'; e.submitter.disabled = false; }, 200); };</script>"##,
    ),
    (
        "refused-user",
        200,
        r##"<form action=/check/user/refused-user-again method=post><input type=email name=identifier><button>Next</button></form>"##,
    ),
    (
        "refused-user-again",
        200,
        r##"<form action=/check/user/refused-user-again method=post><input type=email name=identifier aria-invalid=true><div>Couldn't find your account</div><button>Next</button></form>"##,
    ),
    (
        "refused-dialog",
        200,
        r##"<form><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form><script>
        document.querySelector('form').onsubmit = async (e) => { e.preventDefault(); await fetch('/api/login', {method: 'POST', body: new URLSearchParams(new FormData(e.target))}); alert('Wrong password'); };</script>"##,
    ),
    (
        "locked",
        200,
        r##"<form action=/check/login/locked-again method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "locked-again",
        200,
        r##"<div role=alert>Ihr Konto ist vorübergehend gesperrt.</div><form action=/check/login/locked-again method=post><input name=username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "must-change",
        200,
        r##"<form action=/check/login/new-password method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "new-password",
        200,
        r##"<h1>Update password</h1><form action=/page/unknown method=post><label>New Password<input type=password name=password-new autocomplete=new-password></label><label>Confirm password<input type=password name=password-confirm autocomplete=new-password></label><button>Submit</button></form>"##,
    ),
    (
        "wrong-code",
        200,
        r##"<form action=/check/login/wrong-code-1 method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "wrong-code-1",
        200,
        r##"<form action=/check/code/wrong-code-2 method=post><label>Authenticator code<input name=code></label><button>Verify</button></form>"##,
    ),
    (
        "wrong-code-2",
        200,
        r##"<p class=error>Invalid authenticator code.</p><form action=/check/code/wrong-code-2 method=post><label>Authenticator code<input name=code></label><button>Verify</button></form>"##,
    ),
    (
        "push",
        200,
        r##"<form action=/check/login/push-wait method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "push-wait",
        200,
        r##"<h1>Approve sign in request</h1><p>Open your Authenticator app, and enter the number shown to sign in.</p><div>42</div>"##,
    ),
    (
        "enrol",
        200,
        r##"<form action=/check/login/enrol-now method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "enrol-now",
        200,
        r##"<h1>Mobile Authenticator Setup</h1><p>You need to set up Mobile Authenticator to activate your account.</p><ol><li>Install one of the following applications</li><li>Open the application and scan the barcode</li></ol><form action=/page/unknown method=post><input name=totp><input name=userLabel><button>Submit</button></form>"##,
    ),
    (
        "image-captcha",
        200,
        r##"<form action=/page/unknown method=post><input name=username placeholder=Username><input type=password name=password><img src="data:," alt=captcha width=100 height=40><input name=captcha placeholder="Type the characters you see"><button>Sign in</button></form>"##,
    ),
    (
        "box-captcha",
        200,
        r##"<form action=/page/unknown method=post><input name=username placeholder=Username><input type=password name=password><div class=g-recaptcha data-sitekey=x style="width:304px;height:78px;border:1px solid">I'm not a robot</div><textarea name=g-recaptcha-response hidden></textarea><button>Sign in</button></form>"##,
    ),
    (
        "badge-captcha",
        200,
        r##"<form action=/check/login/callback method=post><input name=username placeholder=Username><input type=password name=password><div class=g-recaptcha data-size=invisible style="width:256px;height:60px">protected by reCAPTCHA</div><button>Sign in</button></form>"##,
    ),
    (
        "interstitial",
        403,
        r##"<html><head><title>Just a moment...</title></head><body><h2>Verify you are human by completing the action below.</h2></body></html>"##,
    ),
    (
        "bad-redirect",
        400,
        r##"<h1>We are sorry...</h1><p id=err class=instruction>Invalid parameter: redirect_uri</p>"##,
    ),
    (
        "bad-client",
        400,
        r##"<h1>oops! something went wrong</h1><pre><strong>error</strong>: invalid_client</pre><pre><strong>error_description</strong>: client is invalid</pre>"##,
    ),
    (
        "server-error",
        500,
        r##"<h1>Internal Server Error</h1><p>The server encountered an internal error.</p>"##,
    ),
    ("teapot", 418, r##"<h1>Nothing here</h1>"##),
    ("maintenance", 503, r##"<h1>Down for maintenance</h1>"##),
    ("limited", 429, r##"<h1>Too Many Requests</h1>"##),
    (
        "expired",
        400,
        r##"<h1>Page has expired</h1><p>Your login session has expired.</p><a href=/page/classic>here</a>"##,
    ),
    (
        "denied",
        200,
        r##"<form action=/check/login/denied-page method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "denied-page",
        403,
        r##"<h1>Access denied</h1><p>The user is not assigned to this application.</p><a href=/page/unknown>Back</a>"##,
    ),
    (
        "help-texts",
        200,
        r##"<form action=/check/login/callback method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form><p>Forgot your locked account? Having trouble? Your session may have expired. Too many requests? Invalid password?</p>"##,
    ),
    (
        "old-alert",
        200,
        r##"<div class="alert alert-warning">Your session has expired. Please sign in again.</div><form action=/check/login/callback method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "unknown",
        200,
        r##"<h1>Our cafeteria</h1><p>Today: soup.</p><button>Order soup</button>"##,
    ),
    (
        "login-unknown",
        200,
        r##"<form action=/check/login/unknown method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "login-nothing",
        200,
        r##"<form action=/check/login/nothing method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "nothing",
        200,
        r##"<h1>You are signed in</h1><p>You can close this window.</p>"##,
    ),
    (
        "consent-nothing",
        200,
        r##"<h1>Authorize Canary</h1><form action=/check/any/nothing method=post><button name=no formaction=/page/unknown>Deny</button><button>Allow</button></form>"##,
    ),
    (
        "profile",
        200,
        r##"<form action=/check/login/profile-page method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "profile-page",
        200,
        r##"<h1>Complete your profile</h1><form action=/page/unknown><label>First name<input name=firstName required></label><label>Last name<input name=lastName required></label><button>Submit</button></form>"##,
    ),
    (
        "echo",
        200,
        r##"<form action=/check/login/echo-again method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "echo-again",
        200,
        r##"<p role=alert>Invalid login: Canary@example.com could not be signed in</p><form method=post><input name=username value=canary@example.com><input type=text name=password placeholder=Password value='correct horse &amp; "battery" &lt;b>'><button title="for canary@example.com">Sign in</button></form><div id=s></div><script>
        document.getElementById('s').attachShadow({mode: 'open'}).innerHTML = '<p>You typed <b>correct horse &amp; "battery" &lt;b&gt;</b></p>';</script>"##,
    ),
];
