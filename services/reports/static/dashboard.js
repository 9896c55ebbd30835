// On top of a page that works without it: figures come in by themselves.

// live.js has the hash of its content in its address, which only the page knows.
const { listen, POLL_MS } = await import(document.querySelector("script[data-live]").dataset.live);

const main = document.getElementById("main");
const SOON_MS = 2_000;
const POLITE_MS = 5_000;
const DAY_MS = 86_400_000;

let asking;
let askedAt = performance.now();
let failures = 0;

// What is new is taken from the page as the server makes it now. What stayed the same stays: focus, scroll, open parts.
async function refresh() {
  askedAt = performance.now();
  // One that is always open, as on a wall, is opened anew each day: it stays signed in, and gets what a release changed.
  if (askedAt > DAY_MS && !document.activeElement.matches("input")) return location.reload();
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (answer.redirected) return location.reload(); // signed out meanwhile
  if (!answer.ok && answer.status !== 400) throw new Error(answer.status);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const focused = document.activeElement;
  renew(main, page.getElementById("main"));
  if (focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
}

function renew(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(document.importNode(fresh, true));
    return;
  }
  for (const name of new Set([...old.getAttributeNames(), ...fresh.getAttributeNames()])) {
    if (name === "open") continue; // whoever looks opens and closes
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    else if (old.getAttribute(name) !== fresh.getAttribute(name)) old.setAttribute(name, fresh.getAttribute(name));
  }
  // A row stays the row it is when another comes before it.
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const child of fresh.childNodes) {
    const mine = (child.id && named.get(child.id)) || place;
    if (mine && mine === place) {
      place = place.nextSibling;
      renew(mine, child);
    } else if (mine && child.id) {
      old.insertBefore(mine, place);
      renew(mine, child);
    } else {
      old.insertBefore(document.importNode(child, true), place);
    }
  }
  while (place) {
    const gone = place;
    place = place.nextSibling;
    gone.remove();
  }
}

// One question at a time, at most every few seconds; whatever comes meanwhile is asked for once more.
async function ask() {
  if (asking) return void (asking = "again");
  asking = "once";
  const pause = Math.min(POLITE_MS * 2 ** failures, POLL_MS);
  await new Promise((done) => setTimeout(done, askedAt + pause - performance.now()));
  asking = "once";
  try {
    await refresh();
    failures = 0;
  } catch (failure) {
    failures += 1;
    console.warn("The figures did not come; asking again in a while.", failure);
    const stale = document.getElementById("stale"); // the next page that comes is without a word in it
    if (stale) stale.textContent = stale.dataset.text;
  }
  const again = failures > 0 || asking === "again";
  asking = undefined;
  if (again) ask();
}

listen(() => "/csat/live", "changed", ask, SOON_MS); // one that is left again at once makes no connection
