/**
 * Questionnaires: what they ask, and how answers are scored. Scoring happens on the person's own device.
 *
 * PHQ-9 and GAD-7 are shipped. Their developers placed them in the public domain; the items here are short
 * paraphrases, and a platform that needs the validated wording of its language sends a definition of its own
 * under the same id. A score supports a conversation and is not a diagnosis.
 */

import { require } from "./errors.js";
import * as s from "./structures.js";

const words = s.text(1000, 0);
const label = s.text(64, 0);
const points = s.integer(0, 1000);

/** A questionnaire whose items all have the same answers. */
export const Definition = s.map(
  {
    form: label, // which one, such as `phq-9`
    version: s.integer(1, 1000),
    title: words,
    question: words, // stands before all items
    items: s.list(words, 100, 1),
    choices: s.list(s.map({ text: words, points }), 10, 2),
    bands: s.list(s.map({ lowest: points, name: label }), 10), // by rising `lowest`
    urgent_items: s.list(s.integer(0, 99), 10), // from 0; any answer above the first one makes urgent
  },
  { urgent_items: [] },
);

/**
 * What `answers` (for each item the number of the choice, from 0) come to: `{total, band, urgent}`. When it
 * is urgent, the person is offered to send the result so, and shown where to turn at once. Throws
 * `bad_content` unless there is one valid answer for each item.
 */
export function score(definition, answers) {
  const { items, choices, bands, urgent_items: urgentItems } = definition;
  require(answers.length === items.length, "bad_content", "each item has one answer");
  require(answers.every((answer) => answer in choices), "bad_content", "an answer is not among the choices");
  const total = answers.reduce((sum, answer) => sum + choices[answer].points, 0);
  const band = bands.findLast(({ lowest }) => total >= lowest)?.name ?? "";
  return { total, band, urgent: urgentItems.some((item) => answers[item] > 0) };
}

const FREQUENCY = [
  { text: "not at all", points: 0 },
  { text: "on several days", points: 1 },
  { text: "on more than half of the days", points: 2 },
  { text: "nearly every day", points: 3 },
];
const TWO_WEEKS = "In the last two weeks, how often did this trouble you?";

export const PHQ_9 = {
  form: "phq-9",
  version: 1,
  title: "PHQ-9: mood",
  question: TWO_WEEKS,
  items: [
    "Little interest in doing things, or little joy in them",
    "Feeling low, depressed or without hope",
    "Sleeping badly, or sleeping too much",
    "Being tired, having little energy",
    "Little appetite, or eating too much",
    "Feeling bad about yourself, or that you have failed yourself or your family",
    "Finding it hard to concentrate, as when reading",
    "Moving or speaking so slowly that others could notice, or being much more restless than usual",
    "Thoughts that you would be better off dead, or of hurting yourself",
  ],
  choices: FREQUENCY,
  bands: [
    { lowest: 0, name: "minimal" },
    { lowest: 5, name: "mild" },
    { lowest: 10, name: "moderate" },
    { lowest: 15, name: "moderately severe" },
    { lowest: 20, name: "severe" },
  ],
  urgent_items: [8],
};

export const GAD_7 = {
  form: "gad-7",
  version: 1,
  title: "GAD-7: worry",
  question: TWO_WEEKS,
  items: [
    "Feeling nervous, anxious or tense",
    "Being unable to stop worrying or to keep it under control",
    "Worrying too much about many things",
    "Finding it hard to relax",
    "Being so restless that sitting still is hard",
    "Becoming annoyed or irritable easily",
    "Feeling afraid, as if something terrible might happen",
  ],
  choices: FREQUENCY,
  bands: [
    { lowest: 0, name: "minimal" },
    { lowest: 5, name: "mild" },
    { lowest: 10, name: "moderate" },
    { lowest: 15, name: "severe" },
  ],
  urgent_items: [],
};

/** The definitions that come with every client, by their ids. */
export const SHIPPED = { [PHQ_9.form]: PHQ_9, [GAD_7.form]: GAD_7 };
