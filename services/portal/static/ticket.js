// On top of a page that works without it: the draft of a reply outlives a reload, and news come in by themselves.

const form = document.querySelector("form[data-draft]");
const field = form?.querySelector("textarea");

// A draft stays in its tab and goes with it: whoever uses a shared computer next finds none.
function keepDraft() {
  const name = `draft ${form.dataset.draft}`;
  if (document.getElementById("sent")) sessionStorage.removeItem(name);
  const kept = sessionStorage.getItem(name);
  if (kept && !field.value) {
    field.value = kept;
    field.dispatchEvent(new Event("input", { bubbles: true })); // for the counter
  }
  field.addEventListener("input", () => {
    if (field.value) sessionStorage.setItem(name, field.value);
    else sessionStorage.removeItem(name);
  });
}

if (form && field) {
  try {
    keepDraft();
  } catch (failure) {
    console.warn("This browser keeps no drafts.", failure); // storage is full, or not allowed
  }
}

// live.js has the hash of its content in its address, which only the page knows.
const { end, listen } = await import(document.querySelector("script[data-live]").dataset.live);

const conversation = document.getElementById("conversation");
const news = document.getElementById("news");
const AGAIN_MS = 5_000;

let revision = Number(conversation.dataset.revision);
let asking;

// What is new is taken from the page as the server makes it now. Nothing that is there moves or loses its focus.
async function refresh() {
  const answer = await fetch(location.pathname, { headers: { Accept: "text/html" }, cache: "no-store" });
  if (answer.status === 404) return end(); // the link opens nothing any more
  if (!answer.ok) throw new Error(answer.status);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("conversation");
  const newest = Number(fresh.dataset.revision);
  if (newest <= revision) return;
  revision = newest;
  const messages = addMessages(fresh);
  for (const place of ["facts", "solving"]) swap(document.getElementById(place), page.getElementById(place));
  news.textContent = "";
  requestAnimationFrame(() => (news.textContent = messages ? news.dataset.message : news.dataset.change));
}

function addMessages(fresh) {
  let count = 0;
  let before = null;
  for (const article of fresh.querySelectorAll("article")) {
    const mine = document.getElementById(article.id);
    if (!mine) {
      const added = document.importNode(article, true);
      added.classList.add("fresh");
      if (before) before.after(added);
      else conversation.prepend(added);
      if (added.classList.contains("message")) count += 1;
      before = added;
    } else {
      swap(mine.querySelector(".attachments"), article.querySelector(".attachments")); // a file may have come since
      before = mine;
    }
  }
  if (before) conversation.querySelector(".empty")?.remove();
  return count;
}

function swap(old, fresh) {
  if (!old || !fresh || old.contains(document.activeElement) || old.innerHTML === fresh.innerHTML) return;
  old.replaceChildren(...[...fresh.childNodes].map((node) => document.importNode(node, true)));
}

// One question at a time; whatever comes meanwhile is asked for once more.
async function ask() {
  if (asking) return void (asking = "again");
  asking = "once";
  try {
    await refresh();
  } catch (failure) {
    console.warn("News did not come; asking again in a moment.", failure);
    setTimeout(ask, AGAIN_MS);
  }
  const again = asking === "again";
  asking = undefined;
  if (again) ask();
}

listen(() => `${conversation.dataset.events}?since=${revision}`, "news", ask);
