// The page begins here: the shell is painted first, then history and model are opened.

import { render } from "preact";
import { App } from "./app/app.tsx";
import { followSwitch } from "./app/model.ts";
import { followTheme } from "./app/theme.ts";
import { followAddress } from "./app/views.ts";
import { openHistory } from "./chat/answering.ts";
import { registerServiceWorker } from "./offline/register.ts";
import "./style/base.css";
import "./style/views.css";

followTheme();
followAddress();
render(<App />, document.getElementById("app")!);
void openHistory();
void registerServiceWorker();
followSwitch();
