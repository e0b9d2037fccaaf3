// Covers what was typed, wherever it shows, before a picture is taken; or tells whether it is still covered.
const DOTS = '\u2022\u2022\u2022\u2022\u2022\u2022';

function* textsOf(root) {
  const walker = root.ownerDocument?.createTreeWalker(root, NodeFilter.SHOW_TEXT) || document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) yield walker.currentNode;
}

function holders() {
  const roots = new Set([document]);
  const elements = [...everything(document)];
  for (const element of elements) roots.add(element.getRootNode());
  return { roots, elements };
}

// A value of one or two letters would blot out half of any page; it is covered in its field only.
function cover(text, values) {
  const patterns = values.filter((value) => value.length > 2).map((value) => value.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return patterns.length ? text.replace(new RegExp(patterns.join('|'), 'gi'), DOTS) : text;
}

const TYPED = 'input:not([type=checkbox]):not([type=radio]):not([type=submit]):not([type=button]):not([type=hidden]):not([type=image]):not([type=file]):not([type=range]):not([type=color]),textarea';

function isTyped(element) {
  return element.matches(TYPED);
}

function mask({ values }) {
  const { roots, elements } = holders();
  for (const element of elements) {
    if (isTyped(element) && element.value) {
      element.style.setProperty('color', 'transparent', 'important');
      element.style.setProperty('-webkit-text-security', 'disc', 'important');
      try {
        if (/^(date|month|week|time|datetime-local|number)$/.test(element.type)) element.value = '';
        else setValue(element, DOTS.slice(0, element.maxLength > 0 ? element.maxLength : 6));
      } catch { /* the colour still hides it */ }
    } else if (element.matches('input[type=submit],input[type=button]') && cover(element.value, values) !== element.value) {
      element.value = cover(element.value, values);
    }
    for (const name of ['title', 'placeholder', 'alt', 'aria-label', 'label']) {
      const held = element.getAttribute?.(name);
      if (held && cover(held, values) !== held) element.setAttribute(name, cover(held, values));
    }
    if (element.isContentEditable && element.matches('[role=textbox]')) element.textContent = DOTS;
  }
  for (const root of roots) for (const node of textsOf(root)) {
    if (cover(node.data, values) !== node.data) node.data = cover(node.data, values);
  }
  document.title = cover(document.title, values);
  return pageFacts();
}

function setValue(element, value) {
  const view = element.ownerDocument.defaultView;
  const kind = element.localName === 'textarea' ? view.HTMLTextAreaElement : view.HTMLInputElement;
  Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(element, value);
}

function pageFacts() {
  const all = [...everything(document)];
  return {
    url: location.href, title: document.title, text: readText(all),
    frames: all.filter((element) => /^i?frame$/.test(element.localName) && !frameDocument(element) && seen(element)).slice(0, 8),
  };
}

function uncovered({ values }) {
  const { roots, elements } = holders();
  const inFields = elements.some((element) => isTyped(element) && values.some((value) => value && element.value === value));
  return inFields || [...roots].some((root) => [...textsOf(root)].some((node) => node.parentElement?.checkVisibility?.() !== false
    && cover(node.data, values) !== node.data));
}
