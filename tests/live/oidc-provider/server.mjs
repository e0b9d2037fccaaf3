// A certified OpenID provider on loopback, with sign-in pages that behave, and misbehave, as real ones do.
//
//   node server.mjs ['<configuration as JSON>']      or the same JSON in OIDC_PROVIDER_CONFIG
//
// Standard output: one JSON object per line. First `{"issuer", "port"}` once requests are served, then events, each
// with `event`: what the provider's own log would say (`grant.error` with the true `detail`) and what its pages saw
// (`login.refused`). The reader must keep reading: a full pipe stops the server. Notices go to standard error.
// The server ends when its standard input closes (give it a pipe), so that it never outlives a test, and on SIGTERM
// or SIGINT.
//
// Configuration, every field optional:
//   port               0, any free one
//   redirect_uris      https, loopback http and custom schemes mixed; a client gets those its kind may have
//   post_logout_redirect_uris
//   clients            metadata by client id, merged over the clients below; a new id makes a new client
//   accounts           [{username, password, totp (base32), locked, claims}], instead of the one below
//   ttl                seconds by kind, as in oidc-provider: {"AccessToken": 5}; clock tolerance is always 0
//   rotate             true: every use of a refresh token gives a new one
//   id_token_alg       RS256; or PS256, ES256, EdDSA ...: the default of all clients
//   features, routes   passed to oidc-provider: {"pushedAuthorizationRequests": {"requirePushedAuthorizationRequests": true}}
//   dev_interactions   false: our pages; true: those of oidc-provider, which accept any password and name a font host
//   lock_after         wrong passwords until an account is locked; 0 is never
//   log_requests       false; true makes an event of every request
//   pages              how the pages look; `POST /control` with a JSON object changes single fields while it runs
//     lang             en, de, fr, es, it, pt, nl, sv, pl, tr, ru, ja, ko, zh
//     markup           ids: stable ids, autocomplete, labels; bare: no ids, opaque names, div buttons
//     inside           page; iframe; shadow: an open shadow root; app: built late by a script, sent by fetch
//     decoys           false; true adds a search field, a newsletter form, a cookie banner, a forgotten-password link
//     identifier_first false; true asks for the user name on a page of its own
//     picker           false; true starts with a choice of accounts
//     stay             false; true asks "stay signed in?" at the end
//     consent          ask; auto: granted without a page
//     logout           ask; auto: the page confirms itself
//     stop             what to show instead: {"login" | "password" | "consent": captcha | locked | password_change |
//                      maintenance | unknown}; "password" is after a right password
//
// Clients: canary-basic, canary-post, canary-public (web), canary-native (native, no secret).
// In front of the provider: /resource takes an access token (?scope=x demands a scope), /control as above.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';

// oidc-provider writes notices by console.info, which would land between the events.
console.info = console.error;
const { Provider, errors } = await import('oidc-provider');
const { escape, plain, render, formOf, BARE_NAMES } = await import('./pages.mjs');
const { words } = await import('./words.mjs');
const { check: checkTotp } = await import('./totp.mjs');

const DEFAULTS = {
  port: 0,
  redirect_uris: ['https://app.example.com/callback', 'http://127.0.0.1:8455/callback', 'com.example.canary:/callback'],
  post_logout_redirect_uris: ['https://app.example.com/signed-out'],
  clients: {},
  accounts: [{ username: 'canary@example.com', password: 'c4nary & "Söhne" +%' }],
  ttl: {},
  rotate: true,
  id_token_alg: 'RS256',
  features: {},
  routes: {},
  dev_interactions: false,
  lock_after: 0,
  log_requests: false,
  pages: {},
};
const PAGES = {
  lang: 'en', markup: 'ids', inside: 'page', decoys: false, identifier_first: false, picker: false, stay: false,
  consent: 'ask', logout: 'ask', stop: {},
};
/** Every printable kind of character that form encoding changes. */
const SECRET = 's3cret +/%&=:?"~';

function settle(defaults, given, where) {
  for (const key of Object.keys(given)) {
    if (!(key in defaults)) throw new Error(`${where} has no field ${key}`);
  }
  return { ...defaults, ...given };
}

const config = settle(DEFAULTS, JSON.parse(process.argv[2] ?? process.env.OIDC_PROVIDER_CONFIG ?? '{}'), 'the configuration');
const pages = settle(PAGES, config.pages, 'pages');
const accounts = config.accounts.map((account, index) => ({ id: `user-${index + 1}`, failures: 0, ...account }));

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

const server = createServer();
// Longer than a client keeps a connection, so that none is closed while a request is on its way.
server.keepAliveTimeout = 120_000;
server.listen(config.port, '127.0.0.1');
await once(server, 'listening');
const { port } = server.address();
const issuer = `http://127.0.0.1:${port}`;

// ---- the provider

const isWeb = (uri) => /^https?:/.test(uri);
const isNative = (uri) => !isWeb(uri) || (new URL(uri).protocol === 'http:') === ['127.0.0.1', '[::1]', 'localhost'].includes(new URL(uri).hostname);

function clients() {
  const kind = (method, application = 'web') => ({
    application_type: application,
    token_endpoint_auth_method: method,
    ...(method !== 'none' && { client_secret: SECRET }),
    redirect_uris: config.redirect_uris.filter(application === 'web' ? isWeb : isNative),
    post_logout_redirect_uris: config.post_logout_redirect_uris.filter(application === 'web' ? isWeb : isNative),
    grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    id_token_signed_response_alg: config.id_token_alg,
  });
  const known = {
    'canary-basic': kind('client_secret_basic'),
    'canary-post': kind('client_secret_post'),
    'canary-public': kind('none'),
    'canary-native': kind('none', 'native'),
  };
  for (const [id, metadata] of Object.entries(config.clients)) {
    known[id] = { ...(known[id] ?? kind(metadata.token_endpoint_auth_method ?? 'client_secret_basic')), ...metadata };
  }
  return Object.entries(known).map(([client_id, metadata]) => ({ client_id, ...metadata }));
}

function signingKeys() {
  const jwk = (type, options, name) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid: name, use: 'sig' });
  return { keys: [
    jwk('rsa', { modulusLength: 2048 }, 'rsa'),
    jwk('ec', { namedCurve: 'P-256' }, 'p256'),
    jwk('ec', { namedCurve: 'P-384' }, 'p384'),
    jwk('ec', { namedCurve: 'P-521' }, 'p521'),
    jwk('ed25519', {}, 'ed25519'),
  ] };
}

const html = (ctx, title, body) => { ctx.type = 'html'; ctx.body = plain(pages.lang, title, body); };

const ourFeatures = {
  devInteractions: { enabled: config.dev_interactions },
  introspection: { enabled: true },
  revocation: { enabled: true },
  deviceFlow: {
    enabled: true,
    userCodeInputSource: (ctx, form, _, error) => html(ctx, 'Connect a device',
      `${error ? '<p id="error" role="alert">That code is not valid.</p>' : ''}${form}<button type="submit" id="next" form="op.deviceInputForm">Next</button>`),
    userCodeConfirmSource: (ctx, form, client, _, code) => html(ctx, 'Connect this device?',
      `<p>${escape(client.clientId)}</p><p id="user-code">${escape(code)}</p>${form}
<button type="submit" id="cancel" form="op.deviceConfirmForm" name="abort" value="yes">Cancel</button><button type="submit" id="confirm" form="op.deviceConfirmForm">Confirm</button>`),
    successSource: (ctx) => html(ctx, 'Device connected', '<p id="done">You can close this page.</p>'),
  },
  rpInitiatedLogout: {
    enabled: true,
    logoutSource: (ctx, form) => {
      const t = words(pages.lang);
      const submit = pages.logout === 'auto' ? '<script>document.getElementById("sign-out").click()</script>' : '';
      html(ctx, t.signOutTitle,
        `${form}<button type="submit" id="stay" form="op.logoutForm">${escape(t.no)}</button><button type="submit" id="sign-out" form="op.logoutForm" name="logout" value="yes">${escape(t.signOut)}</button>${submit}`);
    },
    postLogoutSuccessSource: (ctx) => html(ctx, 'Signed out', '<p id="done">You are signed out.</p>'),
  },
};

const provider = new Provider(issuer, {
  clients: clients(),
  jwks: signingKeys(),
  cookies: { keys: ['loopback only'] },
  clockTolerance: 0,
  ttl: {
    AccessToken: 3600, AuthorizationCode: 60, DeviceCode: 600, Grant: 86400, IdToken: 3600, Interaction: 600, RefreshToken: 86400, Session: 86400,
    ...config.ttl,
  },
  claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'] },
  findAccount: (_, id) => {
    const account = accounts.find((candidate) => candidate.id === id);
    return account && {
      accountId: id,
      claims: () => ({
        sub: id, name: 'Canary', preferred_username: account.username, email: account.username, email_verified: true, ...account.claims,
      }),
    };
  },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'Ed25519', 'EdDSA'] },
  rotateRefreshToken: config.rotate,
  routes: config.routes,
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  features: Object.fromEntries(Object.entries({ ...ourFeatures, ...config.features }).map(([name, feature]) => [name, { ...ourFeatures[name], ...feature }])),
  renderError: (ctx, out, error) => {
    const t = words(pages.lang);
    const text = error instanceof errors.SessionNotFound ? `<p id="error" role="alert">${escape(t.expired)}</p>` : '';
    html(ctx, out.error, `${text}<dl>${Object.entries(out).map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`).join('')}</dl>`);
  },
});

for (const name of ['authorization', 'grant', 'introspection', 'revocation', 'userinfo', 'end_session', 'jwks', 'discovery',
  'pushed_authorization_request', 'device_authorization', 'code_verification', 'device_resume']) {
  provider.on(`${name}.error`, (ctx, error) => say({
    event: `${name}.error`, error: error.error, description: error.error_description, detail: error.error_detail, client: ctx.oidc?.client?.clientId,
  }));
}
for (const name of ['authorization', 'grant', 'end_session']) {
  provider.on(`${name}.success`, (ctx) => say({ event: `${name}.success`, client: ctx.oidc.client?.clientId, grant_type: ctx.oidc.params?.grant_type }));
}
provider.on('grant.revoked', (_, grant) => say({ event: 'grant.revoked', grant }));
provider.on('server_error', (_, error) => say({ event: 'server_error', detail: error.stack }));

// ---- its sign-in pages

/** What a browser has done so far in one interaction, by its uid. */
const visits = new Map();

function loginPages(visit) {
  const after = visit.account && [
    ...(pages.stop.password ? [pages.stop.password] : []),
    ...(visit.account.totp ? ['totp'] : []),
    ...(pages.stay ? ['stay'] : []),
  ];
  return [
    ...(pages.stop.login ? [pages.stop.login] : []),
    ...(pages.picker ? ['picker'] : []),
    ...(pages.identifier_first || visit.picked ? ['identifier', 'password'] : ['login']),
    ...(after ?? []),
  ];
}

const pageOf = (prompt, visit) => (prompt === 'consent' ? pages.stop.consent ?? 'consent' : loginPages(visit).find((page) => !visit.done.has(page)));

/** `error` is what the page says, `reason` the truth. */
function refuse(visit, error, reason) {
  visit.error = error;
  say({ event: 'login.refused', reason });
  return false;
}

function signIn(visit, username, password) {
  const account = accounts.find((candidate) => candidate.username === username);
  if (!account) return refuse(visit, 'refused', 'unknown user');
  if (account.locked) return refuse(visit, 'locked', 'locked');
  if (account.password !== password) {
    account.failures += 1;
    account.locked = config.lock_after > 0 && account.failures >= config.lock_after;
    return refuse(visit, 'refused', 'wrong password');
  }
  account.failures = 0;
  visit.account = account;
  return true;
}

// What a filled form does to the visit, and whether its page is passed: one entry per page.
const ACTIONS = {
  picker: (visit, form) => {
    visit.picked = form.get('account') !== '';
    visit.username = form.get('account');
    if (visit.picked) visit.done.add('identifier');
    return true;
  },
  identifier: (visit, form) => {
    visit.username = form.get('username');
    const known = accounts.some((account) => account.username === visit.username);
    if (!known) refuse(visit, 'refused', 'unknown user');
    return known;
  },
  password: (visit, form) => signIn(visit, visit.username, form.get('password')),
  login: (visit, form) => {
    visit.username = form.get('username');
    return signIn(visit, visit.username, form.get('password'));
  },
  totp: (visit, form) => {
    const answer = checkTotp(visit.account, form.get('code'), Date.now());
    return answer === 'ok' || refuse(visit, 'codeRefused', `code ${answer}`);
  },
  stay: () => true,
};

async function grantConsent({ grantId, session, params, prompt: { details } }) {
  const grant = (grantId && await provider.Grant.find(grantId)) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope.join(' '));
  if (details.missingOIDCClaims) grant.addOIDCClaims(details.missingOIDCClaims);
  return { consent: { grantId: await grant.save() } };
}

/** The address to go on to once `form` has been taken in: the provider's when the prompt is met, else the same page's. */
async function take(req, res, interaction, visit, form) {
  const again = `/interaction/${interaction.uid}`;
  const page = pageOf(interaction.prompt.name, visit);
  if (form.get('page') !== page) return again;
  if (page === 'consent') {
    const allowed = form.get('decision') === 'allow';
    say({ event: allowed ? 'consent.allowed' : 'consent.denied' });
    if (!allowed) return provider.interactionResult(req, res, { error: 'access_denied', error_description: 'End-User refused' });
    return provider.interactionResult(req, res, await grantConsent(interaction));
  }
  if (!ACTIONS[page]?.(visit, form)) return again;
  visit.done.add(page);
  if (pageOf('login', visit)) return again;
  visits.delete(interaction.uid);
  say({ event: 'login.done', username: visit.username });
  return provider.interactionResult(req, res, { login: { accountId: visit.account.id } }, { mergeWithLastSubmission: false });
}

function viewOf(interaction, visit) {
  const error = visit.error;
  visit.error = undefined;
  return {
    ...pages, error, action: `/interaction/${interaction.uid}`, username: visit.username, accounts: accounts.map((account) => account.username),
    client: interaction.params.client_id, scopes: interaction.prompt.details.missingOIDCScope ?? interaction.params.scope?.split(' ') ?? [],
  };
}

async function interact(req, res, framed) {
  const interaction = await provider.interactionDetails(req, res);
  const { uid, prompt } = interaction;
  const visit = visits.get(uid) ?? { done: new Set() };
  visits.set(uid, visit);
  if (req.method === 'POST') {
    const form = new URLSearchParams(await bodyOf(req));
    for (const [name, bare] of Object.entries(BARE_NAMES)) {
      if (form.has(bare)) form.set(name, form.get(bare));
    }
    const location = await take(req, res, interaction, visit, form);
    if (req.headers.accept !== 'application/json') return redirect(res, location);
    const goesOn = location !== `/interaction/${uid}`;
    return json(res, 200, goesOn ? { location } : formOf(pageOf(prompt.name, visit), viewOf(interaction, visit)));
  }
  if (prompt.name === 'consent' && pages.consent === 'auto') {
    return redirect(res, await provider.interactionResult(req, res, await grantConsent(interaction)));
  }
  const page = pageOf(prompt.name, visit);
  // The page around a frame shows nothing itself: an error waits for the frame.
  const view = pages.inside === 'iframe' && !framed ? { ...pages, action: `/interaction/${uid}`, accounts: [], scopes: [] } : viewOf(interaction, visit);
  send(res, page === 'maintenance' ? 503 : 200, 'text/html; charset=utf-8', render(page, view, framed));
}

// ---- the door

async function bodyOf(req) {
  let text = '';
  for await (const chunk of req.setEncoding('utf8')) {
    text += chunk;
    if (text.length > 65536) throw new errors.InvalidRequest('request is too large', 413);
  }
  return text;
}

function send(res, status, type, text, headers = {}) {
  res.writeHead(status, { 'content-type': type, 'cache-control': 'no-store', ...headers }).end(text);
}
const json = (res, status, value, headers) => send(res, status, 'application/json', JSON.stringify(value), headers);
const redirect = (res, location) => res.writeHead(303, { location, 'content-length': 0 }).end();

async function resource(req, res, wanted) {
  const [, value] = /^Bearer (.+)$/i.exec(req.headers.authorization ?? '') ?? [];
  const refuse = (status, error) => json(res, status, { error }, { 'www-authenticate': `Bearer realm="resource", error="${error}"` });
  const token = value && await provider.AccessToken.find(value);
  if (!token || token.jkt) return refuse(401, 'invalid_token');
  if (wanted && !token.scope?.split(' ').includes(wanted)) return refuse(403, 'insufficient_scope');
  json(res, 200, { sub: token.accountId, client_id: token.clientId, scope: token.scope });
}

async function control(req, res) {
  const body = await bodyOf(req);
  try {
    Object.assign(pages, settle(pages, JSON.parse(body), 'pages'));
  } catch (error) {
    return json(res, 400, { error: error.message });
  }
  json(res, 200, pages);
}

const callback = provider.callback();
server.on('request', async (req, res) => {
  if (config.log_requests) {
    res.on('finish', () => say({ event: 'request', method: req.method, path: new URL(req.url, issuer).pathname, status: res.statusCode, cookie: req.headers.cookie !== undefined }));
  }
  try {
    const { pathname, searchParams } = new URL(req.url, issuer);
    if (pathname === '/resource') await resource(req, res, searchParams.get('scope'));
    else if (pathname === '/control' && req.method === 'POST') await control(req, res);
    else if (pathname.startsWith('/interaction/') && !config.dev_interactions) await interact(req, res, searchParams.has('framed'));
    else await callback(req, res);
  } catch (error) {
    const expired = error instanceof errors.SessionNotFound;
    say({ event: expired ? 'interaction.expired' : 'server_error', detail: error.error_detail ?? error.stack });
    if (res.headersSent) return res.destroy();
    const text = expired ? words(pages.lang).expired : 'internal error';
    send(res, error.statusCode ?? 500, 'text/html; charset=utf-8', plain(pages.lang, text, `<p id="error" role="alert">${escape(text)}</p>`));
  }
});

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
process.stdout.on('error', () => process.exit(0));

say({ issuer, port });
