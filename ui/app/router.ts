/** Paths below the prefix, and the browser's history. */
import { type ReadonlySignal, type Signal, signal } from "@preact/signals";

/** Where we are. */
export interface Route {
  /** Below the prefix, such as `/graph`. */
  readonly path: string;
  /** With its `?`, or "". */
  readonly search: string;
}

/** The browser's address as a signal. */
export class Router {
  readonly prefix: string;
  readonly #route: Signal<Route>;

  constructor(prefix: string) {
    this.prefix = prefix;
    this.#route = signal(this.#read());
    addEventListener("popstate", () => this.#route.value = this.#read());
  }

  get route(): ReadonlySignal<Route> {
    return this.#route;
  }

  /** The address of a page, for links. */
  href(to: string): string {
    return `${this.prefix}${to}`;
  }

  /** Goes to a page. */
  go(to: string): void {
    history.pushState(null, "", this.href(to));
    this.#route.value = this.#read();
    scrollTo(0, 0);
  }

  /** Changes the address of the page we are on, without a step back to the old one. */
  replace(to: string): void {
    if (this.href(to) === `${location.pathname}${location.search}`) return;
    history.replaceState(null, "", this.href(to));
    this.#route.value = this.#read();
  }

  /** Changes the address and keeps the old one for the back button, but stays on the page. */
  push(to: string): void {
    if (this.href(to) === `${location.pathname}${location.search}`) return;
    history.pushState(null, "", this.href(to));
    this.#route.value = this.#read();
  }

  #read(): Route {
    const { pathname, search } = location;
    const path = this.prefix !== "" && pathname.startsWith(this.prefix)
      ? pathname.slice(this.prefix.length)
      : pathname;
    return { path: path.replace(/(.)\/+$/, "$1") || "/", search };
  }
}
