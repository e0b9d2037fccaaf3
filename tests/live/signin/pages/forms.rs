//! Forms for user name and password, of many makes.

pub(super) type Page = (&'static str, u16, &'static str);

pub(super) const PAGES: &[Page] = &[
    (
        "asks-first",
        200,
        r##"<form action=/check/login/callback method=post onsubmit="return confirm('Send it?')"><input name=username autocomplete=username placeholder=Username><input type=password name=password placeholder=Password><button>Sign in</button></form>"##,
    ),
    (
        "classic",
        200,
        r##"
        <h1>Sign in to your account</h1>
        <form id=kc-form-login action=/check/login/callback method=post>
          <label for=username>Username or email</label><input id=username name=username type=text autocomplete=off>
          <label for=password>Password</label><input id=password name=password type=password autocomplete=off>
          <button type=button aria-label="Show password"><i>*</i></button>
          <input type=checkbox id=rememberMe name=rememberMe><label for=rememberMe>Remember me</label>
          <a href=/page/unknown>Forgot Password?</a>
          <input type=hidden name=credentialId><input name=login id=kc-login type=submit value="Sign In">
        </form>
        <div>New user? <a href=/page/unknown>Register</a></div>
        <a id=social-google href=/page/unknown>Google</a>"##,
    ),
    (
        "table",
        200,
        r##"
        <form action=/check/login/callback method=post><table>
          <tr><td>Benutzerkennung:</td><td><input name=f1></td></tr>
          <tr><td>Kennwort:</td><td><input name=f2 type=password></td></tr>
          <tr><td></td><td><input type=submit value="Anmelden"> <input type=reset value="Löschen"></td></tr>
        </table></form>"##,
    ),
    (
        "identifier-first",
        200,
        r##"
        <form action=/check/user/password-page method=post>
          <h2>Sign in</h2><input type=email name=loginfmt id=i0116 placeholder="Email, phone, or Skype" autocomplete="username webauthn">
          <input type=password name=passwd tabindex=-1 aria-hidden=true style="position:absolute;left:-9999px">
          <p>No account? <a href=/page/unknown>Create one!</a></p><p><a href=/page/unknown>Can't access your account?</a></p>
          <input type=button value=Back><input type=submit id=idSIButton9 value=Next>
        </form>
        <div role=button tabindex=0>Sign-in options</div>"##,
    ),
    (
        "password-page",
        200,
        r##"
        <form action=/check/password/callback method=post>
          <div>canary@example.com</div><h2>Enter password</h2>
          <input type=hidden name=login value="canary@example.com"><input type=password name=passwd id=i0118 placeholder=Password>
          <a href=/page/unknown>Forgot my password</a><input type=submit value="Sign in">
        </form>"##,
    ),
    (
        "identifier-spa",
        200,
        r##"
        <div id=app></div><script>
        const app = document.getElementById('app');
        const user = () => { app.innerHTML = '<h1>Welcome</h1><label>Email address<input name=identifier></label><div role=button tabindex=0 id=n>Continue</div>';
          document.getElementById('n').onclick = async () => {
            const v = app.querySelector('input').value; document.getElementById('n').setAttribute('aria-disabled', 'true');
            const r = await fetch('/api/user', {method: 'POST', body: new URLSearchParams({v})}); if (r.ok) setTimeout(() => pass(v), 120); }; };
        const pass = (v) => { app.innerHTML = '<h1>Enter your password</h1><span>' + v + '</span><input type=password aria-label=Password><button id=n>Continue</button>';
          document.getElementById('n').onclick = async () => {
            const r = await fetch('/api/password', {method: 'POST', body: new URLSearchParams({v, p: app.querySelector('input').value})});
            if (r.ok) location.href = '/callback?code=1'; }; };
        setTimeout(user, 250);
        </script>"##,
    ),
    (
        "controlled",
        200,
        r##"
        <div id=root><form><input name=user placeholder=Username><input name=pass type=password placeholder=Password>
          <button type=submit disabled>Log in</button></form></div><script>
        // Inputs in the manner of a framework: its own tracker on the element, state from input events only, redrawn from state.
        const state = {user: '', pass: ''}; const form = document.querySelector('form');
        for (const field of form.querySelectorAll('input')) {
          const proto = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value'); let tracked = '';
          Object.defineProperty(field, 'value', {configurable: true, get() { return proto.get.call(this); }, set(v) { tracked = v; proto.set.call(this, v); }});
          field.addEventListener('input', () => { const now = proto.get.call(field); if (now === tracked) return; tracked = now; state[field.name] = now;
            Promise.resolve().then(() => { form.querySelector('button').disabled = !(state.user && state.pass); }); });
          setInterval(() => { if (proto.get.call(field) !== state[field.name]) proto.set.call(field, state[field.name]); }, 20);
        }
        form.onsubmit = async (e) => { e.preventDefault(); form.querySelector('button').disabled = true;
          const r = await fetch('/api/login', {method: 'POST', body: new URLSearchParams(state)}); if (r.ok) location.assign('/callback?code=1'); };
        </script>"##,
    ),
    (
        "late-handler",
        200,
        r##"
        <div><form><input name=username autocomplete=username><input name=password type=password><button>Sign in</button></form></div><script>
        setTimeout(() => { document.querySelector('form').addEventListener('submit', async (e) => { e.preventDefault();
          const r = await fetch('/api/login', {method: 'POST', body: new URLSearchParams(new FormData(e.target))}); if (r.ok) location.href = '/callback?code=1'; }); }, 900);
        </script>"##,
    ),
    (
        "trusted-only",
        200,
        r##"
        <div><input name=username placeholder="User name"><input name=password type=password placeholder=Password><div role=button tabindex=0>Log in</div></div><script>
        document.querySelector('[role=button]').addEventListener('click', async (e) => { if (!e.isTrusted) return;
          const [u, p] = document.querySelectorAll('input');
          const r = await fetch('/api/login', {method: 'POST', body: new URLSearchParams({u: u.value, p: p.value})}); if (r.ok) location.href = '/callback?code=1'; });
        </script>"##,
    ),
    (
        "enter-only",
        200,
        r##"
        <form action=/check/login/callback method=post><input name=username placeholder=Login><input name=password type=password placeholder=Password></form>"##,
    ),
    (
        "enter-key-handler",
        200,
        r##"
        <div><input id=u placeholder="Your e-mail"><input id=p type=password placeholder=Password></div><script>
        document.getElementById('p').addEventListener('keydown', async (e) => { if (e.key !== 'Enter') return;
          const r = await fetch('/api/login', {method: 'POST', body: new URLSearchParams({u: u.value, p: p.value})}); if (r.ok) location.href = '/callback?code=1'; });
        </script>"##,
    ),
    (
        "nested-shadow",
        200,
        r##"
        <flow-executor></flow-executor><script>
        customElements.define('ak-stage', class extends HTMLElement { connectedCallback() {
          this.attachShadow({mode: 'open'}).innerHTML = `<form><label>Email or Username <span>*</span></label><input name=uidField autocomplete=username>
            <label>Password</label><input name=password type=password autocomplete=current-password><button type=submit>Log in</button></form>`;
          this.shadowRoot.querySelector('form').onsubmit = async (e) => { e.preventDefault();
            const r = await fetch('/api/login', {method: 'POST', body: new URLSearchParams(new FormData(e.target))}); if (r.ok) location.href = '/callback?code=1'; }; } });
        customElements.define('flow-executor', class extends HTMLElement { connectedCallback() {
          this.attachShadow({mode: 'open'}).innerHTML = '<div><slot></slot></div>'; setTimeout(() => { this.shadowRoot.innerHTML = '<div><ak-stage></ak-stage></div>'; }, 150); } });
        </script>"##,
    ),
    (
        "shadow-buttons",
        200,
        r##"
        <my-form></my-form><script>
        customElements.define('my-input', class extends HTMLElement { connectedCallback() { this.attachShadow({mode: 'open'}).innerHTML = `<label>${this.getAttribute('label')}<input type=${this.getAttribute('type') || 'text'}></label>`; }
          get value() { return this.shadowRoot.querySelector('input').value; } });
        customElements.define('my-button', class extends HTMLElement { connectedCallback() { this.attachShadow({mode: 'open'}).innerHTML = '<button><slot></slot></button>'; } });
        customElements.define('my-form', class extends HTMLElement { connectedCallback() {
          this.attachShadow({mode: 'open'}).innerHTML = '<my-input label="User name"></my-input><my-input label=Password type=password></my-input><my-button>Cancel</my-button><my-button id=go>Sign in</my-button>';
          this.shadowRoot.querySelector('#go').onclick = async () => { const [u, p] = this.shadowRoot.querySelectorAll('my-input');
            const r = await fetch('/api/login', {method: 'POST', body: new URLSearchParams({u: u.value, p: p.value})}); if (r.ok) location.href = '/callback?code=1'; }; } });
        </script>"##,
    ),
    (
        "iframe",
        200,
        r##"<h1>Portal</h1><iframe src=/page/framed width=500 height=400></iframe>"##,
    ),
    (
        "framed",
        200,
        r##"<form target=_top action=/check/login/callback method=post><label>User ID <input name=a></label><label>Password <input name=b type=password></label><button>Log On</button></form>"##,
    ),
    (
        "iframe-elsewhere",
        200,
        r##"<h1>Portal</h1><div id=x></div><script>
        document.getElementById('x').innerHTML = `<iframe src="http://127.0.0.2:${location.port}/page/framed" width=500 height=400></iframe>`;</script>"##,
    ),
    (
        "social-first",
        200,
        r##"
        <h1>Log in to Example</h1>
        <button type=button>Continue with Google</button><button type=button>Sign in with Microsoft</button><a href=/page/unknown role=button>Log in with SSO</a>
        <div>or</div><form action=/check/login/callback method=post><input type=text name=username id=username inputmode=email autocapitalize=none aria-label="Email address">
        <input type=password name=password><button type=submit name=action value=default aria-hidden=true style="display:none">x</button>
        <button type=submit name=action value=default>Continue</button></form><button type=button>Sign in with a passkey</button>"##,
    ),
    (
        "search-first",
        200,
        r##"
        <header><form action=/page/unknown><input name=q type=text placeholder="Search"><button>Go</button></form></header>
        <form action=/check/login/callback method=post><div>Username <input name=login></div><div>Password <input type=password name=password></div><input type=submit name=commit value="Sign in"></form>
        <footer><form action=/page/unknown><input type=email name=email placeholder="Your email"><button>Subscribe</button></form></footer>"##,
    ),
    (
        "sign-up-beside",
        200,
        r##"
        <form id=signup action=/page/unknown method=post><h2>Create an account</h2><input name=name placeholder="Full name"><input type=email name=email placeholder=Email>
          <input type=password name=password placeholder=Password autocomplete=new-password><button>Sign up</button></form>
        <form id=reset action=/page/unknown method=post><h2>Forgot your password?</h2><input type=email name=email placeholder=Email><button>Reset password</button></form>
        <form action=/check/login/callback method=post><h2>Already a member?</h2><input type=email name=email placeholder=Email><input type=password name=password placeholder=Password><button>Log in</button></form>"##,
    ),
    (
        "both-cognito",
        200,
        r##"
        <style>.visible-xs{display:none}</style>
        <div class=visible-xs><form action=/page/unknown method=post><input name=username><input name=password type=password><input name=signInSubmitButton type=Submit value="Sign in"></form></div>
        <div class=visible-md><form action=/check/login/callback method=post><input type=hidden name=_csrf value=1><label>Username</label><input name=username placeholder=Username>
        <label>Password</label><input name=password type=password placeholder=Password><input name=signInSubmitButton type=Submit value="Sign in"><a href=/page/unknown>Forgot your password?</a></form></div>"##,
    ),
    (
        "honeypots",
        200,
        r##"
        <form action=/check/login/callback method=post><input name=trap style="opacity:0;position:absolute" type=text autocomplete=username><input name=trap type=email tabindex=-1 aria-hidden=true>
        <div style="height:0;overflow:hidden"><input name=trap type=text></div><div style="position:absolute;left:-5000px"><label>Leave this empty<input name=trap></label></div>
        <label>Login <input name=j_username></label><label>Password <input name=j_password type=password></label><button>OK</button></form>"##,
    ),
    (
        "shown-password",
        200,
        r##"
        <form action=/check/login/callback method=post><label for=u>User</label><input id=u name=u><label for=p>Password</label><input id=p name=password type=text autocomplete=current-password>
        <button type=button>Hide</button><button>Sign in</button></form>"##,
    ),
    (
        "terms",
        200,
        r##"
        <form action=/check/login/callback method=post><input name=username placeholder=Username><input type=password name=password>
        <label><input type=checkbox name=t required> I accept the terms of use</label><select name=lang><option>English<option>Deutsch</select><button>Sign in</button></form>"##,
    ),
    (
        "cookie-wall",
        200,
        r##"
        <div id=cookie-consent style="position:fixed;inset:0;background:#fff;z-index:9"><p>We use cookies.</p><button>Reject</button><button onclick="document.getElementById('cookie-consent').remove()">Accept all</button></div>
        <form action=/check/login/callback method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "by-script",
        200,
        r##"
        <form name=f action=/check/login/callback method=post><input name=username placeholder=Username><input type=password name=password>
        <a href="javascript:void(0)" onclick="document.f.submit()">Login</a></form>"##,
    ),
    (
        "formless",
        200,
        r##"
        <div class=card><div class=row><label>E-Mail-Adresse</label><div><input id=mail></div></div>
        <div class=row><label>Passwort</label><div class=wrap><input id=pw type=password><button type=button aria-label="Passwort anzeigen">o</button></div></div>
        <div class=row><button id=go>Einloggen</button><button>Registrieren</button></div></div><script>
        go.onclick = async () => { const r = await fetch('/api/login', {method: 'POST', body: new URLSearchParams({u: mail.value, p: pw.value})}); if (r.ok) location.href = '/callback?code=1'; };</script>"##,
    ),
    (
        "late-page",
        200,
        r##"<html><head><title>…</title></head><body><div class=spinner></div><script>
        setTimeout(() => { document.body.innerHTML = '<form action=/check/login/callback method=post><input name=username placeholder=ユーザー名><input type=password name=password placeholder=パスワード><button>ログイン</button></form>'; }, 1200);</script></body></html>"##,
    ),
    (
        "refresh",
        200,
        r##"<html><head><meta http-equiv=refresh content="1;url=/page/classic"></head><body><p>Please wait…</p></body></html>"##,
    ),
    (
        "slow",
        200,
        r##"<form action=/check/login/slow-next method=post><input name=username placeholder=Username><input type=password name=password><button>Sign in</button></form>"##,
    ),
    (
        "slow-next",
        200,
        r##"<script>setTimeout(() => { location.href = '/slow/callback'; }, 300)</script><p>Loading</p>"##,
    ),
    (
        "auto-post",
        200,
        r##"<form id=f action=/page/classic method=post><input type=hidden name=SAMLRequest value=x><noscript><button>Continue</button></noscript></form><script>document.getElementById('f').submit()</script>"##,
    ),
    (
        "disabled-user",
        200,
        r##"
        <form action=/check/password/callback method=post><label>Username<input name=username value=canary@example.com readonly></label><label>Password<input name=password type=password></label><button>Sign in</button><button type=button>Restart login</button></form>"##,
    ),
];
