"use strict";

// Every page works without this file. With it, a start is told as it happens, lists follow what changes, and a token is copied by a button.

(() => {
  const each = (selector, run) => document.querySelectorAll(selector).forEach(run);

  // A start, told by the hub as server-sent events.
  const follow = (box) => {
    const bar = box.querySelector("progress");
    const steps = box.querySelector("[data-steps]");
    const latest = box.querySelector("[data-latest]");
    const failure = document.getElementById("failure");
    let over = false;
    const source = new EventSource(box.dataset.progress);

    source.addEventListener("open", () => steps.replaceChildren()); // after a break the hub tells all of it again

    const tell = (text) => {
      const now = new Date();
      const time = document.createElement("time");
      time.dateTime = now.toISOString();
      time.textContent = now.toLocaleTimeString();
      const message = document.createElement("span");
      message.textContent = text;
      const line = document.createElement("li");
      line.append(time, message);
      steps.append(line);
      latest.textContent = text;
    };

    const failed = (event) => {
      failure.querySelector("[data-message]").textContent = event.message;
      const log = failure.querySelector("[data-log]");
      if (event.log && event.log.length > 0) {
        log.querySelector("pre").textContent = event.log.join("\n");
        log.hidden = false;
      }
      box.hidden = true;
      failure.hidden = false;
      failure.querySelector("h1").focus();
      document.title = "The server did not start · NomadHub";
    };

    source.addEventListener("message", (m) => {
      const event = JSON.parse(m.data);
      if (typeof event.progress === "number") {
        bar.value = Math.max(bar.value, event.progress);
      }
      if (event.failed || event.ready) {
        over = true;
        source.close();
      }
      if (event.failed) {
        failed(event);
        return;
      }
      if (event.message) {
        tell(event.message);
      }
      if (event.ready) {
        location.reload(); // the hub sends the browser on to where the person wanted to go
      }
    });

    source.addEventListener("error", () => {
      // While it is only a break the browser connects again by itself. Refused means that something changed: the hub's answer to a reload tells what.
      if (!over && source.readyState === EventSource.CLOSED) {
        setTimeout(() => location.reload(), 2000);
      }
    });
  };

  // A part of a page that changes by itself: asked for again, and replaced if it differs.
  const refresh = (part) => {
    const again = () => setTimeout(look, document.hidden ? 10000 : 2000);
    const look = async () => {
      try {
        const answer = await fetch(location.href, { credentials: "same-origin" });
        if (answer.status === 429 || answer.status > 500) {
          again(); // the hub is away for a moment
          return;
        }
        if (answer.redirected || !answer.headers.get("Content-Type").startsWith("text/html")) {
          location.reload();
          return;
        }
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        const news = page.getElementById(part.id);
        if (!news) {
          location.reload();
          return;
        }
        if (news.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) {
          part.replaceChildren(...news.childNodes);
        }
        if (news.hasAttribute("data-live")) {
          again();
        } else if (part.contains(document.activeElement)) {
          location.reload();
        }
      } catch {
        again(); // the network is away for a moment
      }
    };
    again();
  };

  const copier = (button) => {
    if (!navigator.clipboard) {
      return;
    }
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
    });
  };

  each("[data-progress]", follow);
  each("[data-again]", (part) => setTimeout(() => location.reload(), 1000 * Number(part.dataset.again)));
  each("[data-live]", refresh);
  each("[data-copy]", copier);
  // A second click on a button must not send its form a second time.
  document.addEventListener("submit", (event) => {
    if (event.target.dataset.sent) {
      event.preventDefault();
      return;
    }
    event.target.dataset.sent = "yes";
  });
  addEventListener("pageshow", () => each("form[data-sent]", (form) => delete form.dataset.sent));
})();
