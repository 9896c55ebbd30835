// Puts the proof-of-work widget in the place of the code to read, where the browser can run it.
// Needs crypto.subtle, which browsers give to secure contexts only; elsewhere the code stays.

const box = document.getElementById("captcha");

async function upgrade() {
  const widgetUrl = document.querySelector("script[data-widget]").dataset.widget;
  await import(widgetUrl);
  globalThis.$altcha.algorithms.set("PBKDF2/SHA-256", () => new Worker(box.dataset.worker));
  const words = globalThis.$altcha.i18n;
  words.set(document.documentElement.lang.split("-")[0], { ...words.get("en"), ...JSON.parse(box.dataset.words) });
  const widget = document.createElement("altcha-widget");
  widget.setAttribute("challenge", box.dataset.challengeUrl);
  widget.setAttribute("name", "altcha");
  widget.setAttribute("auto", "onfocus");
  widget.setAttribute(
    "configuration",
    JSON.stringify({ humanInteractionSignature: false, hideFooter: true, hideLogo: true }),
  );
  const place = box.querySelector(".captcha-widget");
  place.append(widget);
  place.hidden = false;
  const code = box.querySelector(".captcha-code");
  code.disabled = true; // what is disabled is not sent
  code.hidden = true;
  widget.addEventListener("statechange", ({ detail }) => {
    if (detail.state !== "error") return;
    // No challenge, or a browser that cannot solve it: the code is still a way in.
    place.replaceChildren();
    code.disabled = false;
    code.hidden = false;
  });
  sendWhenSolved(widget);
}

// Who presses the button while the widget still works need not press it again.
function sendWhenSolved(widget) {
  const form = box.closest("form");
  let pressed = false;
  form.addEventListener(
    "invalid",
    (event) => {
      if (!widget.contains(event.target)) return;
      event.preventDefault(); // no balloon: there is nothing for people to do
      pressed = [...form.elements].every((field) => widget.contains(field) || field.validity.valid);
      if (widget.getState() !== "verifying") widget.verify();
    },
    true,
  );
  widget.addEventListener("statechange", ({ detail }) => {
    if (detail.state !== "verified" || !pressed) return;
    pressed = false;
    setTimeout(() => form.requestSubmit(form.querySelector("button[type=submit]")));
  });
}

if (box && globalThis.isSecureContext && globalThis.crypto?.subtle) {
  document.documentElement.classList.add("captcha-upgrading");
  upgrade()
    .catch((failure) => console.warn("The captcha widget did not start; the code to read stays.", failure))
    .finally(() => document.documentElement.classList.remove("captcha-upgrading"));
}
