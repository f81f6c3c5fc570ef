// A small client of the Trestle REST API, for pages of any origin that a bucket admits.
//
//   import { Trestle } from "/-/client.js";
//   const trestle = new Trestle();                       // or new Trestle(url, { user, password })
//   await trestle.upload("photos", "cat.jpg", file, { progress: (done, all) => … });
//   for await (const item of trestle.list("photos", { prefix: "2026/" })) …
//   const blob = await (await trestle.read("photos", "cat.jpg")).blob();

export class TrestleError extends Error {
  constructor(problem) {
    super(problem.detail ?? problem.title);
    this.status = problem.status;
    this.problem = problem;
  }
}

export class Trestle {
  // Without a base it is the page's server. A page may have been opened with credentials in its URL,
  // which no request can have: its origin has none.
  constructor(base = globalThis.location?.origin ?? "", { user, password } = {}) {
    this.base = base.replace(/\/$/, "");
    this.headers = {};
    if (user !== undefined) {
      const bytes = new TextEncoder().encode(`${user}:${password}`);
      this.headers.authorization = "Basic " + btoa(String.fromCharCode(...bytes));
    }
  }

  url(bucket, key = "") {
    // Segments of dots are names here, while a URL would lose them.
    const part = (text) => encodeURIComponent(text).replace(/^\.{1,2}$/, (dots) => dots.replaceAll(".", "%2E"));
    // A name that only its account knows is account:name.
    const [, account, name] = /^([^:]*):(.*)$/s.exec(bucket) ?? [null, null, bucket];
    const path = (account === null ? "" : `~${part(account)}/`) + part(name);
    return `${this.base}/rest/${path}/${key.split("/").map(part).join("/")}`;
  }

  async request(method, url, { headers = {}, body } = {}) {
    const response = await fetch(url, { method, body, headers: { ...this.headers, ...headers } });
    if (!response.ok && response.status !== 304) throw await problem(response);
    return response;
  }

  // All buckets, page by page.
  async *buckets() {
    yield* this.#pages(`${this.base}/rest/`, (page) => page.buckets);
  }

  // Objects, and common prefixes when a delimiter is given, page by page.
  async *list(bucket, parameters = {}) {
    const query = new URLSearchParams(parameters).toString().replaceAll("+", "%20");
    yield* this.#pages(`${this.url(bucket)}${query && "?" + query}`, (page) => page.items);
  }

  async *#pages(url, items) {
    while (url) {
      const page = await (await this.request("GET", url, { headers: { accept: "application/json" } })).json();
      yield* items(page);
      url = page.next && this.base + page.next;
    }
  }

  createBucket(bucket) {
    return this.request("PUT", this.url(bucket));
  }

  read(bucket, key, headers = {}) {
    return this.request("GET", this.url(bucket, key), { headers });
  }

  async stat(bucket, key) {
    return (await this.request("GET", `${this.url(bucket, key)}?metadata`)).json();
  }

  // Changes metadata, tags and what else the object's document has.
  async change(bucket, key, patch) {
    const headers = { "content-type": "application/merge-patch+json" };
    const body = JSON.stringify(patch);
    return (await this.request("PATCH", this.url(bucket, key), { headers, body })).json();
  }

  delete(bucket, key, headers = {}) {
    return this.request("DELETE", this.url(bucket, key), { headers });
  }

  // Puts a Blob, a File or a text. Only XMLHttpRequest tells how far an upload is.
  upload(bucket, key, body, { headers = {}, progress } = {}) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("PUT", this.url(bucket, key));
      for (const [name, value] of Object.entries({ ...this.headers, ...headers })) {
        request.setRequestHeader(name, value);
      }
      request.upload.onprogress = (event) => progress?.(event.loaded, event.total);
      request.onerror = () => reject(new TrestleError({ status: 0, title: "the connection failed" }));
      request.onload = () => {
        if (request.status < 300) {
          resolve({ status: request.status, etag: request.getResponseHeader("etag") });
        } else {
          reject(new TrestleError(parsed(request.responseText, request.status)));
        }
      };
      request.send(body);
    });
  }

  // What happens in a bucket, from now on; the browser resumes after an interruption.
  events(bucket, listener) {
    const source = new EventSource(this.url(bucket), { withCredentials: true });
    for (const kind of ["written", "updated", "deleted", "removed", "tree-removed", "tree-written", "bucket-deleted"]) {
      source.addEventListener(kind, (event) => listener(JSON.parse(event.data)));
    }
    return source;
  }
}

function parsed(text, status) {
  try {
    return JSON.parse(text);
  } catch {
    return { status, title: `status ${status}` };
  }
}

async function problem(response) {
  return new TrestleError(parsed(await response.text(), response.status));
}
