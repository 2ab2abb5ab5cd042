// Requests to the gateway. A session is a cookie that scripts cannot read; what changes something says with a header that it comes from this page.

const ROOT = "/api/v1";
const ANSWER_MS_MAX = 30_000;

/** Something was not done as asked: `status` 0 where nobody has answered, `detail` in words. */
class Refusal extends Error {
  constructor(status, slug, detail, problem = {}) {
    super(detail);
    this.problem = problem;
    this.status = status;
    this.slug = slug;
    this.detail = detail;
  }
}

/** Called when the session is over, wherever that turns out. */
export const onSignedOut = new EventTarget();

/** The whole address of a path of the API. */
export const addressOf = (path) => ROOT + path;

/** A document. */
export const get = (path) => ask("GET", path);

/** Say something; never repeated by us. */
export const post = (path, body) => ask("POST", path, body);

/** The end of a session. */
export const remove = (path) => ask("DELETE", path);

/** What a refused answer says, in words. */
export async function refusalOf(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // no problem document: the status has to do
  }
  const faults = (problem.faults ?? []).map((fault) => `${fault.where}: ${fault.what}`).join("; ");
  const wait = response.headers.get("Retry-After");
  const text = [problem.detail ?? `the gateway answers ${response.status}`, faults, wait ? `wait ${wait} s` : ""];
  return new Refusal(response.status, String(problem.type ?? "").split(":").pop(), text.filter(Boolean).join("; "), problem);
}

async function ask(method, path, body) {
  const headers = method === "GET" ? {} : { "X-Bulkhead": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(addressOf(path), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    });
    if (response.ok || (path === "/health" && response.status === 503)) {
      return response.status === 204 ? null : await response.json();
    }
  } catch {
    throw new Refusal(0, "silence", "no answer from the gateway");
  }
  const refusal = await refusalOf(response);
  if (response.status === 401 && path !== "/session") onSignedOut.dispatchEvent(new Event("signed-out"));
  throw refusal;
}
