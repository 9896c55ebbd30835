// Puts the proof-of-work widget in the place of the code to read, where the browser can run it.
// Needs crypto.subtle, which browsers give to secure contexts only; elsewhere the code stays.

const box = document.getElementById("captcha");

async function upgrade() {
  const widgetUrl = document.querySelector("script[data-widget]").dataset.widget;
  await import(widgetUrl);
  globalThis.$altcha.algorithms.set("PBKDF2/SHA-256", () => new Worker(box.dataset.worker));
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
}

if (box && globalThis.isSecureContext && globalThis.crypto?.subtle) {
  document.documentElement.classList.add("captcha-upgrading");
  upgrade()
    .catch((failure) => console.warn("The captcha widget did not start; the code to read stays.", failure))
    .finally(() => document.documentElement.classList.remove("captcha-upgrading"));
}
