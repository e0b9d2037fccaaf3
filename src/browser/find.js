// Finds what a step of a script names, and waits for it to be visible and usable.
function isCaption(element, wanted) {
  const said = [captionOf(element), element.getAttribute('aria-label') || '', element.placeholder || ''];
  return said.some((text) => squeeze(text, 200).toLowerCase() === wanted);
}

function byText(wanted) {
  const text = wanted.trim().replace(/\s+/g, ' ').toLowerCase();
  const all = [...everything(document)].filter((element) => seen(element));
  const control = all.find((element) => element.matches(BUTTONS) && isCaption(element, text));
  if (control) return control;
  const label = all.find((element) => element.localName === 'label' && shownText(element, 200).toLowerCase() === text);
  if (label) return label.control || label;
  const field = all.find((element) => element.matches(FIELDS) && labelOf(element).toLowerCase() === text);
  if (field) return field;
  const holds = all.filter((element) => shownText(element, 400).toLowerCase().includes(text) && element.localName !== 'body' && element.localName !== 'html');
  // The innermost of those that hold the text.
  return holds.reverse().find((element) => !holds.some((other) => other !== element && element.contains(other))) || null;
}

function matchesOf({ css, xpath, text }) {
  if (text !== undefined) return [byText(text)].filter(Boolean);
  if (xpath !== undefined) {
    const found = document.evaluate(xpath, document, null, XPathResult.ORDERED_NODE_SNAPSHOT_TYPE, null);
    return Array.from({ length: found.snapshotLength }, (_, place) => found.snapshotItem(place)).filter((node) => node.matches);
  }
  const plain = [...document.querySelectorAll(css)];
  return plain.length ? plain : [...everything(document)].filter((element) => element.matches(css));
}

// From here on, what the page shows is compared with what it shows now.
function markAct(act, element) {
  Object.assign(notes, {
    act, started: 0, leaving: false, submitted: false, withheld: false, dialogs: [], actDocument: element.ownerDocument,
    signature: digest(signatureOf(readPage())),
  });
}

// `patience` in ms; zero looks once, on a page that is not about to go.
function find({ target, patience, usable, once, mark }) {
  const end = performance.now() + patience;
  const look = () => {
    const late = performance.now() >= end;
    const calm = document.readyState === 'complete' && !notes.leaving && !notes.open;
    const found = matchesOf(target);
    const element = found.find((candidate) => seen(candidate, candidate.matches('input[type=checkbox],input[type=radio]')));
    const ready = element && !notes.leaving && (!usable || !(element.matches(':disabled') || element.readOnly));
    if (ready) {
      if (mark) markAct(mark, element);
      return { element };
    }
    return late || (once && calm) ? { hidden: found.length, disabled: Boolean(element), calm } : undefined;
  };
  return every(15, look);
}

async function fillOne({ element, value }) {
  put(element, value);
  await pause(0);
  return { taken: element.isContentEditable || element.value === value || !element.isConnected };
}

function choose({ element, option }) {
  const wanted = option.trim().toLowerCase();
  const found = [...(element.options || [])].find((one) => one.value === option || squeeze(one.text, 200).toLowerCase() === wanted);
  if (!found) return { missing: true };
  element.value = found.value;
  found.selected = true;
  element.dispatchEvent(new Event('input', { bubbles: true }));
  element.dispatchEvent(new Event('change', { bubbles: true }));
  return {};
}
