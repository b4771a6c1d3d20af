/**
 * Who takes part in a session, and what the reader calls them: by role, since the server knows no names, and
 * with a number where several have the same role.
 */

import { personWords } from "./words.js";

export class People {
  /** The reader's own account, once known. */
  account = null;
  #pageRole;
  #members = null; // account -> role, of the room; null until they may be known
  #seen = new Map(); // account -> role, of everyone who was in the session or waited to come in
  #present = [];

  constructor(pageRole) {
    this.#pageRole = pageRole;
  }

  /** The members of the room, as the server lists them; none for a guest of the session. */
  acquaint(members) {
    this.#members = new Map(members.map(({ account, role }) => [account, role]));
  }

  /** Whether the members of the room may be known and are. */
  get acquainted() {
    return this.#members !== null;
  }

  /** Take in who is there now. */
  follow({ present = [], roles = {}, waiting = [] }) {
    this.#present = present;
    for (const [account, role] of Object.entries(roles)) this.#seen.set(account, role);
    for (const { account, role } of waiting) this.#seen.set(account, role);
  }

  /** The other members of the room, as far as they may be known. */
  members() {
    return [...(this.#members?.keys() ?? [])].filter((account) => account !== this.account);
  }

  /** In the session, but not a member of its room: the messages are not for them. */
  get isGuest() {
    return this.#members !== null && !this.#members.has(this.account);
  }

  /** As what the reader takes part. */
  get reader() {
    return this.#roleOf(this.account) ?? (this.isGuest ? "guest" : this.#pageRole);
  }

  /** Everyone else who is in the session now. */
  others() {
    return this.#present.filter((account) => account !== this.account);
  }

  /** Whether someone else takes part as the same as the reader. */
  get isOneOfSeveral() {
    const others = [...(this.#members ?? []), ...this.#seen].filter(([account]) => account !== this.account);
    return others.some(([, role]) => role === this.reader);
  }

  name(account) {
    const role = this.#roleOf(account);
    const alike = [...this.#seen].filter(([, other]) => other === role).map(([one]) => one);
    const several = alike.filter((one) => one !== this.account).length > 1;
    // The reader is counted too, so that everyone gives the others the same numbers.
    return personWords(this.reader, role, several ? alike.toSorted().indexOf(account) + 1 : 0);
  }

  #roleOf(account) {
    return this.#seen.get(account) ?? this.#members?.get(account);
  }
}
