// Conveniences on top of forms that work without them.

const errors = document.getElementById("errors");
if (errors) errors.focus();

const { lang } = document.documentElement;
const plural = new Intl.PluralRules(lang);
const digits = new Intl.NumberFormat(lang, { numberingSystem: "latn" });
const say = (forms, number) => (forms[plural.select(number)] ?? forms.other).replace("{number}", digits.format(number));

for (const field of document.querySelectorAll("textarea[data-limit]")) {
  const counter = document.getElementById(field.dataset.counter);
  const limit = Number(field.dataset.limit);
  const [leftOver, tooMany] = [JSON.parse(field.dataset.left), JSON.parse(field.dataset.over)];
  const show = () => {
    const left = limit - [...field.value.replace(/\r\n/g, "\n")].length;
    counter.textContent = left < 0 ? say(tooMany, -left) : left <= limit / 5 ? say(leftOver, left) : "";
    counter.classList.toggle("over", left < 0);
  };
  field.addEventListener("input", show);
  show();
}

// The server takes a double click for one anyway; this spares people the doubt.
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (submission) => {
    if (form.dataset.sent) submission.preventDefault();
    form.dataset.sent = "yes";
    const button = form.querySelector("button[type=submit]");
    button.setAttribute("aria-disabled", "true");
    button.dataset.label = button.textContent;
    button.textContent = button.dataset.busy || button.textContent;
  });
}

// A page that the browser kept for going back must be usable again.
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    const button = form.querySelector("button[type=submit]");
    button.removeAttribute("aria-disabled");
    if (button.dataset.label) button.textContent = button.dataset.label;
  }
});
