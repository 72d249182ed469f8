/** The pages: reads what the server says, then shows the page of the address. */
import "./style/main.css";
import { render } from "preact";
import { App, AppProvider, type Config } from "./app/context.ts";
import { Shell } from "./app/shell.tsx";
import { applyTheme } from "./app/theme.ts";

const config = JSON.parse(document.getElementById("config")!.textContent!) as Config;
const app = new App(config);
applyTheme(app.preferences);
app.start();
const root = document.getElementById("app")!;
root.replaceChildren();
render(
  <AppProvider value={app}>
    <Shell />
  </AppProvider>,
  root,
);
