// Presses what says yes to signing out, where the page asks. Returns whether it did.
function sayYes() {
  const yes = /^(yes|ok|continue|confirm|log ?out|sign ?out|oui|ja|sí|si|sim|da|tak|evet|はい|是|예)\b|log ?out|sign ?out|log ?off|abmelden|ausloggen|déconne|cerrar sesi|salir|esci|disconnett|terminar sess|afmelden|uitloggen|logga ut|log ud|logg ut|kirjaudu ulos|wyloguj|odhl[aá]s|çıkış|oturumu kapat|выйти|выход|вийти|ログアウト|サインアウト|退出|登出|로그아웃|تسجيل الخروج/i;
  const no = /^(no|non|nein|nee|nej|nei|cancel|abbrechen|annuler|cancelar|annulla|stay|いいえ|否|取消|아니)/i;
  const roots = [document];
  for (const root of roots) {
    for (const element of root.querySelectorAll('*')) if (element.shadowRoot) roots.push(element.shadowRoot);
  }
  const controls = roots.flatMap((root) => [...root.querySelectorAll('button, input[type=submit], input[type=button], a[role=button]')]);
  const seen = controls.filter((control) => control.checkVisibility() && !control.disabled);
  const text = (control) => (control.value && control.tagName === 'INPUT' ? control.value : control.innerText || control.ariaLabel || '').trim();
  const control = seen.find((control) => yes.test(text(control)) && !no.test(text(control)));
  if (!control) return false;
  control.click();
  return true;
}
