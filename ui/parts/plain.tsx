/** Text from elsewhere: whatever it holds, it is shown as the characters it is made of. */
import { visible } from "../model/labels.ts";

/** Does not run into its surroundings, and hides nothing. */
export function Plain({ text, class: name }: { text: string; class?: string }) {
  return <bdi {...(name === undefined ? {} : { class: name })}>{visible(text)}</bdi>;
}
