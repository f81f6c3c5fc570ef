// What the buttons of the HTML listings do.
import { Trestle } from "/-/client.js";

const trestle = new Trestle();

function failed(error) {
  const output = document.querySelector("output");
  if (output) output.value = error.message;
  else alert(error.message);
}

document.querySelector("#create")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    await trestle.createBucket(event.target.elements.name.value);
    location.reload();
  } catch (error) {
    failed(error);
  }
});

document.querySelector("#upload")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const bar = form.querySelector("progress");
  bar.hidden = false;
  try {
    for (const file of form.elements.files.files) {
      await trestle.upload(form.dataset.bucket, form.dataset.prefix + file.name, file, {
        headers: file.type ? { "content-type": file.type } : {},
        progress: (done, all) => (bar.value = all ? done / all : 1),
      });
    }
    location.reload();
  } catch (error) {
    failed(error);
  }
});

for (const button of document.querySelectorAll("button[data-delete]")) {
  button.addEventListener("click", async () => {
    if (!confirm(`Delete ${button.dataset.delete}?`)) return;
    try {
      await trestle.delete(button.dataset.bucket, button.dataset.delete);
      button.closest("tr").remove();
    } catch (error) {
      failed(error);
    }
  });
}
