// Pages work without this. It reads a picture's file into the field that is sent.
"use strict";

const file = document.querySelector("[data-picture-file]");
if (file) {
  file.closest("label").hidden = false;
  file.addEventListener("change", () => {
    const reader = new FileReader();
    reader.addEventListener("load", () => { document.querySelector("[data-picture]").value = reader.result; });
    if (file.files[0]) reader.readAsDataURL(file.files[0]);
  });
}
