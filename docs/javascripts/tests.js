// The name of a test, such as `tests/unit/test_layout.py::test_…`, is folded away behind the word "test".
document.querySelectorAll(".md-content code").forEach((code) => {
  if (!/^(tests|src)\/\S+::\S+$/.test(code.textContent)) return;
  const word = document.createElement("button");
  word.className = "test-name";
  word.textContent = "test";
  word.title = code.textContent;
  word.addEventListener("click", () => {
    code.hidden = !code.hidden;
  });
  code.before(word, " ");
  code.hidden = true;
});
