// Who looks: a token becomes a session, a cookie that no script can read. A token in the address is taken out of it before anything else happens.
import { get, onSignedOut, post, remove } from "./api.js";
import { byId } from "./dom.js";

const PREFIX = "#token=";

/** The session, and the form that begins one. `onIn(session)` once somebody is in. */
export class Login {
  #onIn;
  #onOut;

  constructor(onIn, onOut) {
    this.#onIn = onIn;
    this.#onOut = onOut;
    onSignedOut.addEventListener("signed-out", () => this.#ask(""));
    byId("login-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const field = byId("login-token");
      const token = field.value.trim();
      field.value = "";
      void this.#enter(token);
    });
    byId("sign-out").addEventListener("click", () => void this.#leave());
    addEventListener("hashchange", () => {
      const token = takeToken();
      if (token) void this.#enter(token);
    });
  }

  /** With the token in the address, else with the session there is. */
  async begin() {
    const token = takeToken();
    if (token) {
      await this.#enter(token);
      return;
    }
    try {
      this.#in(await get("/session"));
    } catch (refusal) {
      this.#ask(refusal.status === 401 ? "" : refusal.detail);
    }
  }

  async #enter(token) {
    try {
      this.#in(await post("/session", { token }));
    } catch (refusal) {
      this.#ask(refusal.detail);
    }
  }

  async #leave() {
    try {
      await remove("/session");
    } catch {
      // whoever leaves sees nothing more, whether the gateway has heard it or not
    }
    this.#ask("");
  }

  #in(session) {
    byId("login").hidden = true;
    byId("sign-out").hidden = false;
    byId("sign-out").title = `signed in as ${session.name}`;
    document.body.dataset.phase = "in";
    this.#onIn(session);
  }

  #ask(why) {
    this.#onOut();
    document.body.dataset.phase = "out";
    byId("sign-out").hidden = true;
    byId("login").hidden = false;
    byId("login-refused").textContent = why;
    byId("login-token").focus();
  }
}

/** The token in the address, which is no longer there afterwards; "": none. */
function takeToken() {
  if (!location.hash.startsWith(PREFIX)) return "";
  const token = decodeURIComponent(location.hash.slice(PREFIX.length));
  history.replaceState(null, "", location.pathname + location.search);
  return token;
}
