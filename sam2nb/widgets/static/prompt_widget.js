// The browser side of sam2nb.widgets.prompt.PromptWidget. This side owns the prompts and draws; Python answers them.

import { mount } from "./dom.js";
import { PromptView } from "./prompt_view.js";

const GONE = "The kernel is gone. Your prompts stay here: the button \u201ccode\u201d shows the script with them.";

function render({ model, el }) {
  const ui = new PromptView(model, el);
  const handlers = {
    "change:revision": () => ui.answered(),
    "change:prompts": () => ui.draw(),
    "change:selected": () => ui.draw(),
    "comm:close": () => ui.report(GONE),
  };
  return mount(model, ui, handlers);
}

export default { render };
