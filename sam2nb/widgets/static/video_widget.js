// The browser side of sam2nb.widgets.video_prompt.VideoPromptWidget. This side owns the prompts; Python has the masks.

import { mount } from "./dom.js";
import { VideoView } from "./video_view.js";

const ENDED = "The kernel is gone. Your prompts stay here: the button \u201ccode\u201d shows the script with them.";

function render({ model, el }) {
  const ui = new VideoView(model, el);
  const handlers = {
    "change:revision": () => ui.answered(),
    "change:objects": () => ui.draw(),
    "change:selected": () => ui.draw(),
    "change:locked": () => ui.draw(),
    "change:running": () => ui.draw(),
    "change:count": () => ui.goTo(ui.target),
    "change:frame": () => model.get("frame") !== ui.store.frame && ui.goTo(model.get("frame")),
    "comm:close": () => ui.gone(ENDED),
  };
  return mount(model, ui, handlers);
}

export default { render };
