// The pages of the provider as strings of HTML: no state, no network, nothing loaded from elsewhere.
//
// A page has a form (what it asks) and a place (where the form sits in the document). Every form works in every place.

import { words } from './words.mjs';

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
export const escape = (text) => String(text ?? '').replace(/[&<>"']/g, (character) => ESCAPES[character]);

const STYLE = `body{font:16px sans-serif;margin:2rem auto;max-width:24rem}label,input,button,[role=button]{display:block;width:100%;box-sizing:border-box}
input,button,[role=button]{margin:.3rem 0 1rem;padding:.5rem}[role=button]{background:#eee;text-align:center;cursor:pointer}#error,.error{color:#b00}iframe{border:0;width:100%;height:28rem}`;

function document_({ lang, title, body }) {
  return `<!DOCTYPE html><html lang="${lang}"><head><meta charset="utf-8"><link rel="icon" href="data:,"><title>${escape(title)}</title><style>${STYLE}</style></head><body>${body}</body></html>`;
}

/** Names of fields where `markup` is `bare`: nothing in the markup tells what a field is for, only its label does. */
export const BARE_NAMES = { username: 'f1', password: 'f2', code: 'f3' };

function field(view, name, label, attributes) {
  if (view.markup === 'bare') {
    const type = name === 'password' ? 'password' : 'text';
    return `<label>${escape(label)} <input type="${type}" name="${BARE_NAMES[name]}"></label>`;
  }
  return `<label for="${name}">${escape(label)}</label><input id="${name}" name="${name}" ${attributes} required>`;
}

function submit(view, id, label) {
  if (view.markup === 'bare') return `<input type="submit" value="${escape(label)}">`;
  return `<button type="submit" id="${id}">${escape(label)}</button>`;
}

function choice(view, id, name, value, label) {
  if (view.markup === 'bare') {
    return `<div role="button" tabindex="0" data-name="${name}" data-value="${escape(value)}"
      onclick="const i=document.createElement('input');i.type='hidden';i.name=this.dataset.name;i.value=this.dataset.value;const f=this.closest('form');f.append(i);f.requestSubmit()">${escape(label)}</div>`;
  }
  return `<button type="submit" id="${id}" name="${name}" value="${escape(value)}">${escape(label)}</button>`;
}

const username = (view, t) => field(view, 'username', t.username, `type="text" autocomplete="username" value="${escape(view.username)}"`);
const password = (view, t) => field(view, 'password', t.password, 'type="password" autocomplete="current-password"');
const forgot = (view, t) => (view.decoys ? `<a href="#forgot">${escape(t.forgot)}</a>` : '');

// One entry per page that asks something: its title and the inside of its form.
const FORMS = {
  login: (view, t) => [t.signIn, username(view, t) + password(view, t) + forgot(view, t) + submit(view, 'sign-in', t.signIn)],
  identifier: (view, t) => [t.signIn, username(view, t) + submit(view, 'next', t.next)],
  password: (view, t) => [t.signIn, `<p id="who">${escape(view.username)}</p>` + password(view, t) + forgot(view, t) + submit(view, 'sign-in', t.signIn)],
  picker: (view, t) => [t.pick,
    view.accounts.map((name, index) => choice(view, `account-${index}`, 'account', name, name)).join('') + choice(view, 'other-account', 'account', '', t.other)],
  totp: (view, t) => [t.codeTitle, field(view, 'code', t.code, 'type="text" inputmode="numeric" autocomplete="one-time-code" maxlength="6"') + submit(view, 'verify', t.verify)],
  stay: (view, t) => [t.stayTitle, choice(view, 'stay-no', 'stay', 'no', t.no) + choice(view, 'stay-yes', 'stay', 'yes', t.yes)],
  consent: (view, t) => [`${view.client} ${t.consentTitle}`,
    `<ul id="scopes">${view.scopes.map((scope) => `<li>${escape(scope)}</li>`).join('')}</ul>`
    + choice(view, 'deny', 'decision', 'deny', t.deny) + choice(view, 'allow', 'decision', 'allow', t.allow)],
  password_change: (view, t) => [t.newPassword,
    `<input id="new-password" type="password" name="new" autocomplete="new-password"><input id="new-password-again" type="password" name="again" autocomplete="new-password">${submit(view, 'change', t.next)}`],
  captcha: (view, t) => [t.captcha, '<div id="captcha" class="captcha" role="img" aria-label="captcha">7 K x 4 w</div><label for="answer">CAPTCHA</label><input id="answer" name="answer">'
    + submit(view, 'verify', t.verify)],
};

// Pages that ask nothing.
const DEAD_ENDS = {
  locked: (t) => [t.signIn, `<p id="error" role="alert">${escape(t.locked)}</p>`],
  maintenance: (t) => [t.maintenance, `<p>${escape(t.maintenance)}</p>`],
  // No language has these words: nobody can have prepared for this page.
  unknown: () => ['Lorem ipsum', '<p>Dolor sit amet, consectetur adipiscing elit.</p><a href="#">Sed do eiusmod</a>'],
};

export const pages = [...Object.keys(FORMS), ...Object.keys(DEAD_ENDS)];

/** The form of a page, complete with error text: `{ title, form }`. */
export function formOf(page, view) {
  const t = words(view.lang);
  if (DEAD_ENDS[page]) {
    const [title, inside] = DEAD_ENDS[page](t);
    return { title, form: `<h1>${escape(title)}</h1>${inside}` };
  }
  const [title, inside] = FORMS[page](view, t);
  const error = view.error ? `<p ${view.markup === 'bare' ? 'class="error"' : 'id="error" role="alert"'}>${escape(t[view.error])}</p>` : '';
  const target = view.inside === 'iframe' ? ' target="_top"' : '';
  return {
    title,
    form: `<h1>${escape(title)}</h1>${error}<form method="post" action="${escape(view.action)}"${target} novalidate><input type="hidden" name="page" value="${page}">${inside}</form>`,
  };
}

// Shows forms as a single-page application does: late, with a button that wakes up by typing, without navigation.
const APP = `
const root = document.getElementById('app');
function show({ title, form }) {
  document.title = title;
  root.innerHTML = form;
  const element = root.querySelector('form');
  if (!element) return;
  const buttons = element.querySelectorAll('button:not([name]),input[type=submit]');
  const filled = () => [...element.querySelectorAll('label input,label+input')].every((input) => input.value !== '');
  const update = () => buttons.forEach((button) => { button.disabled = !filled(); });
  element.addEventListener('input', update);
  update();
  element.addEventListener('submit', async (event) => {
    event.preventDefault();
    const body = new URLSearchParams(new FormData(element, event.submitter));
    const reply = await (await fetch(element.action, { method: 'POST', body, headers: { accept: 'application/json' } })).json();
    if (reply.location) location.assign(reply.location); else setTimeout(show, 100, reply);
  });
}`;

const PLACES = {
  page: ({ form }) => `<main>${form}</main>`,
  shadow: ({ form }) => `<sign-in-card><template shadowrootmode="open"><style>${STYLE}</style>${form}</template></sign-in-card>`,
  iframe: (_, view) => `<iframe id="login-frame" src="${escape(view.action)}?framed"></iframe>`,
  app: (content) => `<main id="app"></main><script>${APP}
setTimeout(show, 250, ${JSON.stringify(content).replaceAll('<', '\\u003c')});</script>`,
};

export const places = Object.keys(PLACES);

function decorated(body, t) {
  return `<header><form role="search" action="#search"><input type="text" name="q" placeholder="${escape(t.search)}"><button>${escape(t.search)}</button></form></header>
${body}<footer><form action="#newsletter"><input type="email" name="email" placeholder="${escape(t.newsletter)}"><button type="button">${escape(t.newsletter)}</button></form></footer>
<div id="cookie-banner">${escape(t.cookies)} <button type="button" onclick="this.parentNode.remove()">${escape(t.acceptCookies)}</button></div>`;
}

/** A whole document showing `page`; with `framed` it is the one inside the frame of `inside: iframe`. */
export function render(page, view, framed = false) {
  const content = formOf(page, view);
  const body = PLACES[framed ? 'page' : view.inside](content, view);
  return document_({ lang: view.lang, title: content.title, body: view.decoys && !framed ? decorated(body, words(view.lang)) : body });
}

/** A page around a form that oidc-provider wrote itself (logout, device code), or around no form. */
export function plain(lang, title, body) {
  return document_({ lang, title, body: `<main><h1>${escape(title)}</h1>${body}</main>` });
}
