// What every script below shares: walking a page with its open shadow roots and same-origin frames, and telling what a
// person could see and use. Runs in the page; keeps its notes in one property of the window.
const KEY = '__authcanary';
const notes = window[KEY] || (() => {
  const fresh = {
    elements: [], started: 0, open: 0, leaving: false, submitted: false, withheld: false, changed: performance.now(),
    watched: new WeakSet(), act: 0, signature: '', actDocument: null, dialogs: [],
  };
  Object.defineProperty(window, KEY, { value: fresh, enumerable: false, configurable: true });
  addEventListener('beforeunload', () => { fresh.leaving = true; });
  addEventListener('pagehide', () => { fresh.leaving = true; });
  // A message box would stop the page, and its text would be lost with it.
  window.alert = (text) => { fresh.dialogs.push(String(text)); fresh.changed = performance.now(); };
  try { watchRequests(window, fresh); } catch { /* a page may freeze its globals; then only navigations are seen */ }
  return fresh;
})();

// Counts requests that scripts of the page send, so that "nothing was sent" and "still sending" can be told.
function watchRequests(view, count) {
  const send = view.XMLHttpRequest.prototype.send;
  view.XMLHttpRequest.prototype.send = function (...rest) {
    count.started += 1;
    count.open += 1;
    this.addEventListener('loadend', () => { count.open -= 1; }, { once: true });
    return send.apply(this, rest);
  };
  const fetch = view.fetch;
  view.fetch = function (...rest) {
    count.started += 1;
    count.open += 1;
    const answer = fetch.apply(this, rest);
    const done = () => { count.open -= 1; };
    answer.then(done, done);
    return answer;
  };
}

function watchChanges(root) {
  if (notes.watched.has(root)) return;
  notes.watched.add(root);
  new MutationObserver(() => { notes.changed = performance.now(); })
    .observe(root, { subtree: true, childList: true, attributes: true, characterData: true });
}

function frameDocument(element) {
  try {
    return element.contentDocument;
  } catch {
    return null;
  }
}

// Every element in the order a reader meets it, through open shadow roots and frames of the same origin.
function* everything(root) {
  watchChanges(root);
  for (const element of root.querySelectorAll('*')) {
    yield element;
    if (element.shadowRoot) yield* everything(element.shadowRoot);
    if (element.localName === 'iframe' || element.localName === 'frame') {
      const inside = frameDocument(element);
      if (inside && inside.documentElement && seen(element)) yield* everything(inside);
    }
  }
}

function above(element) {
  return element.parentElement || (element.getRootNode().host ?? null);
}

function closest(element, selector) {
  for (let here = element; here; here = above(here)) if (here.matches(selector)) return here;
  return null;
}

// Whether a person could see it: rendered, not transparent, of some size, and not pushed off the page.
function seen(element, transparent = false) {
  const shown = element.checkVisibility
    ? element.checkVisibility({ opacityProperty: !transparent, checkOpacity: !transparent, visibilityProperty: true, checkVisibilityCSS: true })
    : element.getClientRects().length > 0;
  if (!shown) return false;
  const box = element.getBoundingClientRect();
  if (box.width < 2 || box.height < 2) return false;
  for (let here = above(element), level = 0; here && level < 5; here = above(here), level += 1) {
    if ((here.clientHeight < 2 || here.clientWidth < 2) && /hidden|clip/.test(getComputedStyle(here).overflow)) return false;
  }
  const view = element.ownerDocument.defaultView;
  return box.right + view.scrollX > 0 && box.bottom + view.scrollY > 0 && box.left < 20000 && box.top < 100000;
}

// Not within a word: what would be left of a secret there is found by nobody.
function cut(text, length) {
  return text.length > length ? text.slice(0, length).replace(/[!-~]+$/, '') : text;
}

function squeeze(text, length) {
  return cut((text || '').replace(/\s+/g, ' ').trim(), length);
}

function shownText(element, length) {
  return squeeze(element.innerText || element.textContent, length);
}

function byIds(element, attribute) {
  const ids = (element.getAttribute(attribute) || '').split(/\s+/).filter(Boolean);
  return ids.map((id) => element.getRootNode().getElementById?.(id)?.textContent || '').join(' ');
}

// What a page says an input is for: label, placeholder, accessible name, or the text in front of it.
function labelOf(field) {
  const parts = [...(field.labels || [])].map((label) => label.textContent);
  parts.push(byIds(field, 'aria-labelledby'), field.getAttribute('aria-label'), field.placeholder, field.title);
  const host = field.getRootNode().host;
  if (host) parts.push(host.getAttribute('label'), host.getAttribute('placeholder'));
  if (!parts.some(Boolean)) {
    const cell = field.closest('td');
    const before = cell ? cell.previousElementSibling : field.previousElementSibling;
    const plain = field.previousSibling?.nodeType === Node.TEXT_NODE ? field.previousSibling.data : '';
    parts.push(plain, before && !before.matches('input,select,textarea') ? before.textContent : '');
  }
  return squeeze(parts.filter(Boolean).join(' '), 200);
}

function captionOf(button) {
  const own = shownText(button, 160) || (button.localName === 'input' ? button.value : '');
  if (own) return squeeze(own, 160);
  const image = button.querySelector('img[alt],svg[aria-label]');
  const named = button.getAttribute('aria-label') || byIds(button, 'aria-labelledby') || button.title
    || image?.getAttribute('alt') || image?.getAttribute('aria-label') || button.getAttribute('alt');
  const host = button.getRootNode().host;
  return squeeze(named || (host ? host.getAttribute('label') || shownText(host, 160) : ''), 160);
}

function namesOf(element) {
  const value = element.localName === 'button' || /^(submit|button|reset)$/.test(element.type) ? element.value : '';
  return squeeze([element.name, element.id, value, element.getAttribute('data-testid')].filter((part) => typeof part === 'string').join(' '), 160);
}

const BUTTONS = 'button,input[type=submit],input[type=button],input[type=image],a[href],a[onclick],a[role],[role=button],'
  + '[role=link],[role=menuitem],[role=option],[data-identifier],div[onclick],li[onclick],span[onclick],[tabindex="0"]';
const FIELDS = 'input:not([type=hidden]):not([type=submit]):not([type=button]):not([type=image]):not([type=reset])'
  + ':not([type=file]),select,textarea,[contenteditable=true][role=textbox]';

// The nearest thing that holds both the field and something to press: stands in for a form where there is none.
function groupOf(element) {
  const form = element.form || closest(element, 'form,[role=form]');
  if (form) return form;
  for (let here = above(element); here; here = above(here)) {
    if (here.localName === 'body') return null;
    if ([...here.querySelectorAll('button,input[type=submit],input[type=button],[role=button]')]
      .some((button) => button.type === 'submit' || shownText(button, 40) || button.value)) return here;
  }
  return null;
}

// A box about cookies that lies over the page or calls itself so: its buttons are not the page's.
function inCookieBox(element) {
  for (let here = element; here && here.localName !== 'body'; here = above(here)) {
    if (/form/i.test(here.localName) && here.querySelector('input[type=password]')) return false;
    const words = `${here.id} ${typeof here.className === 'string' ? here.className : ''} ${here.getAttribute('aria-label') || ''}`;
    if (/cookie|onetrust|didomi|usercentrics|cookiebot|gdpr|truste|cc-window|cmp-|consent-(banner|bar|popup)/i.test(words)) return true;
    const position = getComputedStyle(here).position;
    const over = position === 'fixed' || position === 'sticky' || here.matches('dialog,[role=dialog],[role=alertdialog],[aria-modal=true]');
    if (over && /cookie|クッキー|쿠키|файл\S* cookie|ملفات تعريف/i.test(here.innerText || '')) return true;
  }
  return false;
}
