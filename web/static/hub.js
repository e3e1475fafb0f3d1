"use strict";

// Every page works without this file. With it, a start is told as it happens, lists follow what changes, and a token is copied by a button.

(() => {
  const each = (selector, run) => document.querySelectorAll(selector).forEach(run);

  // The hub shows its pages to people, and to scripts only with its page token.
  const asPage = () => ({
    credentials: "same-origin",
    headers: { "X-XSRFToken": document.querySelector("meta[name=xsrf-token]")?.content ?? "" },
  });

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
      const offer = failure.querySelector("[data-offer]");
      offer.hidden = !event.offer;
      if (event.offer) {
        const link = offer.querySelector("a");
        link.href = `${link.pathname}?${new URLSearchParams(event.offer)}`;
      }
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

    const wait = box.querySelector("[data-wait]");
    const waits = (event) => {
      wait.hidden = !event.waiting;
      if (event.waiting) {
        wait.querySelector("[data-reason]").textContent = event.waiting.reason;
        wait.querySelector("[data-position]").textContent = event.position ? `You are number ${event.position} of ${event.of}.` : "";
      }
    };

    source.addEventListener("message", (m) => {
      const event = JSON.parse(m.data);
      waits(event);
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
      if (event.waiting) {
        latest.textContent = "You need not stay: the start goes on without this page.";
      } else if (event.message) {
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
        const answer = await fetch(location.href, asPage());
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

  // A form of which parts come later: only those parts are replaced, so that what the person chose meanwhile stays.
  const complete = (box) => {
    let tries = 10;
    const again = () => tries-- > 0 && setTimeout(look, 1500);
    const look = async () => {
      try {
        const answer = await fetch(location.href, asPage());
        if (!answer.ok || answer.redirected) {
          again();
          return;
        }
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        box.querySelectorAll("[data-part]").forEach((part) => {
          const news = page.getElementById(part.id);
          if (news && news.textContent.trim() !== "") {
            part.replaceWith(news);
          }
        });
        if (page.getElementById(box.id)?.hasAttribute("data-parts")) {
          again();
        }
      } catch {
        again();
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

  // What a server prints, as it prints it. One stream at a time: the button that was pressed last.
  let reading = null;
  const keepAtMost = 500000; // characters

  const readLog = async (button) => {
    reading?.abort();
    const mine = new AbortController();
    reading = mine;
    const pane = document.getElementById(button.dataset.into);
    each("[data-log-of]", (other) => other.setAttribute("aria-pressed", String(other === button)));
    pane.textContent = "";
    try {
      const answer = await fetch(button.dataset.logOf + "&follow=1&tail=65536", { credentials: "same-origin", signal: mine.signal });
      if (!answer.ok) {
        pane.textContent = answer.status === 404 ? "There is no log yet." : "The log cannot be read at this moment.";
        return;
      }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) {
          return;
        }
        const atEnd = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 20;
        pane.textContent = (pane.textContent + value).slice(-keepAtMost);
        if (atEnd) {
          pane.scrollTop = pane.scrollHeight;
        }
      }
    } catch (e) {
      if (e.name !== "AbortError") {
        setTimeout(() => reading === mine && readLog(button), 3000);
      }
    }
  };

  const logButton = (button) => {
    button.addEventListener("click", () => readLog(button));
    if (button.getAttribute("aria-pressed") === "true") {
      readLog(button);
    }
  };

  // What a server uses, told every few seconds.
  const amount = (bytes) => (bytes < 1 << 30 ? `${Math.round(bytes / (1 << 20))} MB` : `${(bytes / (1 << 30)).toFixed(1)} GB`);

  const meters = (box) => {
    const trouble = box.querySelector("[data-trouble]");
    const missing = (text) => {
      trouble.textContent = text;
      trouble.hidden = false;
    };
    const show = (use) => {
      box.querySelector("[data-cpu]").textContent = `${use.cpu_cores.toFixed(2)} cores`;
      const limit = use.memory_limit_bytes;
      box.querySelector("[data-memory]").textContent = amount(use.memory_bytes) + (limit ? ` of ${amount(limit)}` : "");
      const bar = box.querySelector("progress");
      bar.hidden = !limit;
      bar.value = limit ? (100 * use.memory_bytes) / limit : 0;
      const devices = box.querySelector("[data-devices]");
      devices.hidden = !use.devices?.length;
      if (use.devices?.length) {
        devices.querySelector("b").textContent = use.devices.map((d) => `${d.name}: ${Object.entries(d.values).map(([k, v]) => `${k} ${v}`).join(", ")}`).join("; ");
      }
      trouble.hidden = true;
    };
    // After a break the browser connects again by itself. After a refusal, as of a hub that has too much to do, it does not.
    let wait = 5000;
    const again = () => {
      setTimeout(() => box.isConnected && open(), wait + 2000 * Math.random()); // not all at once
      wait = Math.min(2 * wait, 60000);
    };
    const open = () => {
      const source = new EventSource(box.dataset.usage);
      source.addEventListener("message", (m) => {
        wait = 5000;
        show(JSON.parse(m.data));
      });
      source.addEventListener("end", (m) => {
        source.close();
        missing(JSON.parse(m.data).message);
        again();
      });
      source.addEventListener("error", () => {
        missing("What it uses cannot be told at this moment.");
        if (source.readyState === EventSource.CLOSED) {
          again();
        }
      });
    };
    open();
  };

  each("[data-log-of]", logButton);
  each("[data-usage]", meters);
  each("[data-progress]", follow);
  each("[data-again]", (part) => setTimeout(() => location.reload(), 1000 * Number(part.dataset.again)));
  each("[data-live]", refresh);
  each("[data-parts]", complete);
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
