// Runs `work` on what was given, and answers with JSON; the elements that stand in it come beside it, in their order.
async function answerOf(work, text, element) {
  const nodes = [];
  // By its holder: some old libraries teach lists and texts a `toJSON` that makes nonsense of them.
  function member(key) {
    const value = this[key];
    return value?.nodeType === 1 ? { 'element-6066-11e4-a52e-4f735466cecf': nodes.push(value) - 1 } : value;
  }
  let answer;
  try {
    answer = await work(element ? { ...JSON.parse(text), element } : JSON.parse(text));
  } catch (error) {
    answer = { broken: String(error) };
  }
  return [JSON.stringify(answer ?? null, member), ...nodes];
}

// The first answer of `look`, which is asked at once and then every `ms`.
async function every(ms, look) {
  for (;;) {
    const answer = look();
    if (answer !== undefined) return answer;
    await new Promise((resolve) => { setTimeout(resolve, ms); });
  }
}
