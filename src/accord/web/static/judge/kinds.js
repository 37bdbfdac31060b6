// What each kind of study adds to the page.
import { Chat } from "./chat.js";
import { Pair } from "./pair.js";
import { Rank } from "./rank.js";
import { Rate } from "./rate.js";
import { Rewrite } from "./rewrite.js";

const KINDS = { pairwise: Pair, rank: Rank, rate: Rate, rewrite: Rewrite, chat: Chat };

export function kindOf(task, page) {
  const Kind = KINDS[task?.dataset.kind];
  return Kind ? new Kind(task, page) : {};
}
