// Fills fields and presses what sends them, in one go. Answers with what the page did not take, so that real keys can follow.
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function put(field, value) {
  const view = field.ownerDocument.defaultView;
  field.focus({ preventScroll: true });
  if (field.isContentEditable) {
    field.textContent = value;
  } else {
    const kind = field.localName === 'textarea' ? view.HTMLTextAreaElement : view.HTMLInputElement;
    // The prototype's setter goes around the one that frameworks put on the element to track their own writes.
    Object.getOwnPropertyDescriptor(kind.prototype, 'value').set.call(field, value);
  }
  const key = { bubbles: true, composed: true, key: value.slice(-1) };
  field.dispatchEvent(new view.KeyboardEvent('keydown', key));
  field.dispatchEvent(new view.InputEvent('input', { bubbles: true, composed: true, data: value, inputType: 'insertText' }));
  field.dispatchEvent(new view.KeyboardEvent('keyup', key));
  field.dispatchEvent(new view.Event('change', { bubbles: true }));
}

// A form that would put its password into the address was not meant to be sent by the browser: its script is not there
// yet. Holding it back keeps the password out of the address and lets the same form be tried again.
function withholdBareForms(event) {
  const form = event.target;
  if (!event.defaultPrevented && form.method === 'get' && form.querySelector('input[type=password]')) {
    event.preventDefault();
    notes.withheld = true;
  } else {
    notes.submitted = true;
  }
}

async function becomesEnabled(button, patience) {
  const end = performance.now() + patience;
  const off = () => button.matches(':disabled') || button.getAttribute('aria-disabled') === 'true';
  while (off() && performance.now() < end) await pause(20);
  return !off();
}

function tickInvalidBoxes(form) {
  for (const box of form?.querySelectorAll('input[type=checkbox]:invalid,input[type=radio]:invalid') || []) {
    if (!box.checked) box.click();
  }
}

function pressEnter(field) {
  const view = field.ownerDocument.defaultView;
  field.focus({ preventScroll: true });
  const key = { bubbles: true, composed: true, cancelable: true, key: 'Enter', code: 'Enter', keyCode: 13, which: 13 };
  const goes = field.dispatchEvent(new view.KeyboardEvent('keydown', key));
  field.dispatchEvent(new view.KeyboardEvent('keypress', key));
  if (goes && field.form && !notes.submitted && !notes.started) field.form.requestSubmit();
  field.dispatchEvent(new view.KeyboardEvent('keyup', key));
}

async function act({ act, fills, fields = [], ticks, press, enter, dry }) {
  const touched = [...(dry ? fields : fills.map(([index]) => index)), press, enter].filter((index) => index !== null).map((index) => notes.elements[index]);
  const first = touched.find(Boolean);
  if (!first || touched.some((element) => !element?.isConnected)) return { gone: true };
  Object.assign(notes, {
    act, started: 0, leaving: false, submitted: false, withheld: false, dialogs: [], signature: '', actDocument: first.ownerDocument,
  });
  const view = first.ownerDocument.defaultView;
  view.removeEventListener('submit', withholdBareForms);
  view.addEventListener('submit', withholdBareForms);
  for (const [index, value] of fills) put(notes.elements[index], value);
  for (const index of ticks) if (!notes.elements[index].checked) notes.elements[index].click();
  await pause(0);
  const refused = fills.filter(([index, value]) => notes.elements[index].isConnected && notes.elements[index].value !== undefined
    && notes.elements[index].value !== value && !notes.started && !notes.leaving).map(([index]) => index);
  if (fills.length > 1 && refused.length === fills.length && notes.elements[fills[0][0]].maxLength === 1) refused.length = 0;
  if (dry) {
    notes.signature = digest(signatureOf(readPageKeeping()));
    return { elements: touched };
  }
  if (refused.length) return { refused: refused.map((index) => notes.elements[index]) };
  const form = first.form || closest(first, 'form');
  tickInvalidBoxes(form);
  const button = press === null ? null : notes.elements[press];
  if (button && !(await becomesEnabled(button, 1500))) {
    for (const box of form?.querySelectorAll('input[type=checkbox]') || []) if (!box.checked && seen(box, true)) box.click();
    await becomesEnabled(button, 500);
  }
  const page = readPageKeeping();
  notes.signature = digest(signatureOf(page));
  // Some pages send a code by themselves as soon as its last digit is in.
  if (fills.length && (notes.started || notes.leaving || notes.submitted)) return {};
  if (button) button.click();
  else if (enter !== null) pressEnter(notes.elements[enter]);
  return {};
}

function readPageKeeping() {
  const kept = notes.elements;
  const page = readPage();
  notes.elements = kept;
  return page;
}
