// Reads the page: fields, buttons, texts, signs of trouble. Answers when the page is worth reading, or when `patience` ends.
const ALERTS = '[role=alert],[role=alertdialog],[aria-live=assertive],[class*="error" i],[class*="alert" i],[class*="danger" i],'
  + '[class*="warning" i],[class*="invalid" i],[class*="feedback" i],[id*="error" i],[id*="alert" i],[class*="flash" i],[class*="message" i],'
  + '[class*="notice" i],[class*="toast" i]';

const CHALLENGES = [
  [/recaptcha\/(api2|enterprise)\/anchor/, (frame) => !/size=invisible/.test(frame.src)],
  [/recaptcha\/(api2|enterprise)\/bframe/, () => true],
  [/hcaptcha\.com/, (frame) => !/checkbox-invisible/.test(frame.src)],
  [/challenges\.cloudflare\.com|arkoselabs|funcaptcha|geo\.captcha-delivery|geetest|friendlycaptcha|px-captcha/, () => true],
];

function readFields(all, groups) {
  const fields = [];
  for (const element of all) {
    if (!element.matches(FIELDS)) continue;
    const type = element.localName === 'input' ? element.type : element.localName;
    const toggle = type === 'checkbox' || type === 'radio';
    const code = /one-time-code/.test(element.autocomplete || '');
    if (!toggle && !seen(element, code)) continue;
    if (!toggle && !code && element.tabIndex < 0 && closest(element, '[aria-hidden=true]')) continue;
    fields.push({
      index: remember(element), group: groupIndex(element, groups), kind: type, autocomplete: (element.autocomplete || '').toLowerCase(),
      names: namesOf(element), label: labelOf(element), filled: toggle ? element.checked : Boolean(element.value),
      width: element.maxLength > 0 ? element.maxLength : 0, numeric: /numeric|tel/.test(element.inputMode) || type === 'tel' || type === 'number',
      enabled: !element.matches(':disabled') && !element.readOnly, required: element.required || element.getAttribute('aria-required') === 'true',
      invalid: element.getAttribute('aria-invalid') === 'true',
      shown: toggle ? seen(element, true) : true,
    });
  }
  return fields;
}

function readButtons(all, groups) {
  const buttons = [];
  for (const element of all) {
    if (!element.matches(BUTTONS) || element.matches('input:not([type=submit]):not([type=button]):not([type=image]),select,textarea')) continue;
    if (!seen(element)) continue;
    const caption = captionOf(element);
    const names = namesOf(element);
    const form = element.form || closest(element, 'form');
    const submit = element.matches('input[type=submit],input[type=image],button:not([type]),button[type=submit]') && Boolean(form);
    if (!caption && !names && !submit) continue;
    const link = element.localName === 'a' && element.getAttribute('role') !== 'button';
    buttons.push({
      index: remember(element), group: groupIndex(element, groups), caption, names,
      kind: submit ? 'submit' : link ? 'link' : element.matches('button,input,[role=button],a') ? 'button' : 'other',
      target: element.localName === 'a' ? squeeze(element.getAttribute('href'), 200) : '',
      enabled: !element.matches(':disabled') && element.getAttribute('aria-disabled') !== 'true',
      cookies: inCookieBox(element),
    });
    if (buttons.length >= 250) break;
  }
  return buttons;
}

function remember(element) {
  notes.elements.push(element);
  return notes.elements.length - 1;
}

function groupIndex(element, groups) {
  const group = groupOf(element);
  if (!group) return null;
  if (!groups.includes(group)) groups.push(group);
  return groups.indexOf(group);
}

function readGroup(group) {
  const heading = group.querySelector('h1,h2,h3,legend');
  const names = [group.id, group.getAttribute('name'), group.getAttribute('class'), group.getAttribute('action'), group.getAttribute('role')];
  return { names: squeeze(names.filter((part) => typeof part === 'string').join(' '), 300), heading: heading ? shownText(heading, 100) : '', form: group.localName === 'form' };
}

function readAlerts(all) {
  const alerts = [];
  for (const element of all) {
    if (!element.matches(ALERTS) || !seen(element)) continue;
    if (element.matches('form,body,main,input,button,a,label') || element.querySelector('input,form')) continue;
    const text = shownText(element, 400);
    if (text && !alerts.some((known) => known.includes(text)) && !inCookieBox(element)) alerts.push(text);
    if (alerts.length >= 8) break;
  }
  return alerts;
}

function readChallenges(all) {
  const found = [];
  for (const element of all) {
    if (element.localName === 'iframe' && seen(element)) {
      const rule = CHALLENGES.find(([pattern]) => pattern.test(element.src));
      const box = element.getBoundingClientRect();
      if (rule && rule[1](element) && box.width > 60 && box.height > 40 && !answered(element)) found.push(squeeze(element.src.split('?')[0], 100));
    } else if (element.matches('.cf-turnstile,.g-recaptcha,.h-captcha') && seen(element) && element.dataset.size !== 'invisible') {
      const box = element.getBoundingClientRect();
      if (box.width > 60 && box.height > 40 && !answered(element)) found.push(element.className);
    }
  }
  return found;
}

function answered(element) {
  const answers = (groupOf(element) || element.ownerDocument)
    .querySelectorAll('[name=g-recaptcha-response],[name=h-captcha-response],[name=cf-turnstile-response]');
  return [...answers].some((answer) => answer.value);
}

function readFrames(all) {
  return all.filter((element) => /^i?frame$/.test(element.localName) && !frameDocument(element) && seen(element)
    && !CHALLENGES.some(([pattern]) => pattern.test(element.src)))
    .map((element) => ({ element, area: element.clientWidth * element.clientHeight }))
    .filter((frame) => frame.area > 10000)
    .sort((one, other) => other.area - one.area)
    .slice(0, 4);
}

function readText(all) {
  const parts = [document.body?.innerText || ''];
  for (const element of all) {
    if (element.shadowRoot && seen(element)) parts.push(...[...element.shadowRoot.children].map((child) => child.innerText || ''));
    const inside = /^i?frame$/.test(element.localName) ? frameDocument(element) : null;
    if (inside?.body && seen(element)) parts.push(inside.body.innerText);
  }
  return cut(parts.join('\n').split('\n').map((line) => squeeze(line, 400)).filter(Boolean).join('\n'), 8000);
}

function readPage() {
  notes.elements = [];
  const all = [...everything(document)];
  const groups = [];
  const fields = readFields(all, groups);
  const buttons = readButtons(all, groups);
  const alerts = [...notes.dialogs.map((text) => squeeze(text, 400)), ...readAlerts(all)];
  const timing = performance.getEntriesByType('navigation')[0];
  const code = document.querySelector('#main-frame-error .error-code,.error-code');
  return {
    url: location.href, title: document.title, text: readText(all), alerts, fields, buttons, groups: groups.map(readGroup),
    headings: all.filter((element) => /^h[1-3]$/.test(element.localName) && seen(element)).slice(0, 6).map((element) => shownText(element, 160)),
    challenges: readChallenges(all), frames: readFrames(all),
    status: timing?.responseStatus || null, loaded: document.readyState === 'complete', parsed: document.readyState !== 'loading',
    refreshes: Boolean(document.querySelector('meta[http-equiv=refresh i]')),
    net_error: location.protocol === 'chrome-error:' || document.querySelector('body.neterror,#main-frame-error') || location.href.startsWith('about:neterror')
      ? squeeze(code?.textContent || document.title || 'unknown', 100) : null,
  };
}

// What has to differ before a page counts as another one.
function signatureOf(page) {
  return JSON.stringify([page.url.split('#')[0], page.fields.map((field) => [field.kind, field.names, field.enabled]),
    page.buttons.map((button) => [button.caption, button.enabled]), page.alerts, page.headings, page.text]);
}

// A short stand-in for a long text, enough to tell two pages apart.
function digest(text) {
  let sum = 7;
  for (let place = 0; place < text.length; place += 1) sum = (Math.imul(sum, 31) + text.charCodeAt(place)) | 0;
  return `${text.length}:${sum}`;
}

function read({ act, known, patience, settle }) {
  const end = performance.now() + patience;
  let last = -1;
  const worthReading = () => {
    const late = performance.now() >= end;
    // A page that is about to go is not read: the next one ends the wait.
    if (notes.leaving && !late) return undefined;
    const loading = document.readyState === 'loading' || (document.readyState !== 'complete' && performance.now() < settle);
    if (!late && (loading || last === notes.changed)) return undefined;
    last = notes.changed;
    const page = readNow(act);
    const bare = !page || (!page.fields.length && !page.buttons.length && !page.net_error && !page.text && !page.frames.length);
    return !late && (bare || !page.changed || page.signature === known) ? undefined : page;
  };
  return every(10, worthReading);
}

function readNow(act) {
  if (!document.documentElement) return null;
  const page = readPage();
  const sameDocument = act > 0 && notes.act === act && (!notes.actDocument || Boolean(notes.actDocument.defaultView));
  page.signature = digest(signatureOf(page));
  page.shape = digest(JSON.stringify([page.url, page.fields.map((field) => field.names), page.buttons.map((button) => button.caption)]));
  return Object.assign(page, {
    fresh: !sameDocument, changed: !sameDocument || page.signature !== notes.signature,
    sent: notes.started > 0 || notes.leaving || notes.submitted, busy: notes.open > 0 || notes.leaving,
    withheld: notes.withheld, quiet_ms: Math.round(performance.now() - notes.changed),
  });
}
