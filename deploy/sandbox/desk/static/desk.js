// Keeps the parts of the page that change up to date, and leaves alone what somebody is typing in.

const EVERY_MS = 1500;

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = fresh.getElementById(part.id);
    if (next && next.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) {
      part.replaceChildren(...next.childNodes);
    }
  }
}

setInterval(() => refresh().catch(() => {}), EVERY_MS); // the server may be restarting; the next round will do
