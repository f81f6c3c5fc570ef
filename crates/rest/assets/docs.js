// Documentation that is made from the OpenAPI document, with a form to try each operation.

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};

const api = await (await fetch(location.origin + "/-/openapi.json")).json();
const main = document.querySelector("main");

// Slashes within a key are part of the path.
const inPath = (text) => text.split("/").map(encodeURIComponent).join("/");

function field(parameter) {
  const input = element("input", { name: `${parameter.in}:${parameter.name}` });
  input.required = parameter.required ?? false;
  if (parameter.schema.type === "boolean") input.type = "checkbox";
  if (parameter.schema.type === "integer") input.inputMode = "numeric";
  const text = `${parameter.name} (${parameter.in})`;
  input.title = parameter.description ?? "";
  return element("label", {}, text, input);
}

async function send(path, method, form, output) {
  let url = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const input of form.querySelectorAll("input")) {
    const at = input.name.indexOf(":");
    const [where, name] = [input.name.slice(0, at), input.name.slice(at + 1)];
    const value = input.type === "checkbox" ? (input.checked ? "true" : "") : input.value;
    if (where === "path") url = url.replace(`{${name}}`, inPath(value));
    else if (value !== "" && where === "query") query.set(name, value);
    else if (value !== "") headers[name] = value;
  }
  const area = form.querySelector("textarea");
  if (area) headers["content-type"] = area.dataset.type;
  if ([...query].length) url += "?" + query.toString().replaceAll("+", "%20");
  const options = { method, headers, body: area ? area.value : undefined };
  const response = await fetch(location.origin + url, options);
  const lines = [`${method} ${url}`, "", `${response.status} ${response.statusText}`];
  for (const [name, value] of response.headers) lines.push(`${name}: ${value}`);
  const type = response.headers.get("content-type") ?? "";
  lines.push("");
  if (type.includes("event-stream")) lines.push("(a stream of events)");
  else lines.push((await response.text()).slice(0, 10000));
  output.textContent = lines.join("\n");
}

function operation(path, method, found, shared) {
  const form = element("form");
  const parameters = [...(shared ?? []), ...(found.parameters ?? [])];
  form.append(...parameters.map(field));
  for (const type of Object.keys(found.requestBody?.content ?? {})) {
    const area = element("textarea", { rows: 4, cols: 80 });
    area.dataset.type = type;
    form.append(element("p", {}, `body, ${type}`), area);
  }
  const output = element("pre");
  form.append(element("p", {}, element("button", {}, "Send")), output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.textContent = "…";
    try {
      await send(path, method, form, output);
    } catch (error) {
      output.textContent = String(error);
    }
  });
  const answers = Object.entries(found.responses).map(([status, answer]) => `${status} ${answer.description}`);
  const head = element("summary", {}, element("b", {}, method), ` ${found.summary}`);
  return element("details", {}, head, form, element("p", {}, `Answers: ${answers.join(", ")}`));
}

// What is read most comes first.
const paths = Object.entries(api.paths).sort(([one], [other]) => other.startsWith("/rest") - one.startsWith("/rest"));
for (const [path, methods] of paths) {
  main.append(element("h2", {}, path));
  const all = { ...methods, ...(methods["x-additionalOperations"] ?? {}) };
  for (const [method, found] of Object.entries(all)) {
    if (found.operationId) main.append(operation(path, method.toUpperCase(), found, methods.parameters));
  }
}
