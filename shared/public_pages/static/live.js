// Tells an open page when to look for news: by a stream or, without one, from time to time.

export const POLL_MS = 60_000;

let source, timer;
let over = false;

// The address is asked for at each start: it may say what the page already knows.
export function listen(address, event, ask, waitMs = 0) {
  function start() {
    stop();
    if (over || document.hidden) return;
    source = new EventSource(address());
    source.addEventListener(event, ask);
    source.addEventListener("error", () => {
      if (source?.readyState !== EventSource.CLOSED) return; // it comes back by itself
      source = undefined;
      // No room, or nobody to tell us: look from time to time, not all at the same.
      timer = setTimeout(() => ask().then(start), POLL_MS * (0.5 + Math.random()));
    });
  }

  // A page that nobody looks at keeps no connection; it catches up when it is looked at again.
  document.addEventListener("visibilitychange", start);
  addEventListener("pagehide", stop);
  addEventListener("pageshow", (shown) => shown.persisted && start());
  timer = setTimeout(start, waitMs);
}

// There will be no more news.
export function end() {
  over = true;
  stop();
}

function stop() {
  clearTimeout(timer);
  source?.close();
  source = undefined;
}
