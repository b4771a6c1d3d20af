/**
 * The vault, through which an account's secrets reach a next device: its key and that of its archive, under
 * a passphrase. The server keeps the blob and cannot open it. And names of devices, which only the account
 * reads.
 *
 * The key comes from Argon2id (RFC 9106); its parameters stand in the blob, so that they can be raised later.
 * They are bounded when a vault is opened: the blob comes from the server.
 */

import { argon2id } from "./argon2.js";
import { concat, random, utf8 } from "./bytes.js";
import { E2eeError, require } from "./errors.js";
import { expand, secretKey } from "./kdf.js";
import * as s from "./structures.js";

const MAX_VAULT_BYTES = 16 * 1024;
const MAX_NAME_BYTES = 128;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const COST = { passes: 3, memoryKib: 64 * 1024, lanes: 1 };

/** What the vault holds: the seeds of the account's key and, if it keeps an archive, of that. */
const AccountSecrets = s.structure({ accountSeed: s.bytes(32), archiveSeed: s.optional(s.bytes(32)) });

const Vault = s.structure({
  version: s.integer(1, 1),
  passes: s.integer(1, 16),
  memoryKib: s.integer(8, 1 << 20),
  lanes: s.integer(1, 4),
  salt: s.bytes(SALT_BYTES),
  nonce: s.bytes(NONCE_BYTES),
  ciphertext: s.blob(MAX_VAULT_BYTES),
});

/** The vault of an account, a blob. `secrets` are `{accountSeed, archiveSeed}`; tests lower the `cost`. */
export async function lock(secrets, passphrase, account, cost = COST) {
  const salt = random(SALT_BYTES);
  const nonce = random(NONCE_BYTES);
  const key = await vaultKey(passphrase, { ...cost, salt }, "encrypt");
  const plaintext = s.pack(AccountSecrets, secrets);
  const ciphertext = await crypto.subtle.encrypt(vaultParameters(nonce, account), key, plaintext);
  return s.pack(Vault, { version: 1, ...cost, salt, nonce, ciphertext: new Uint8Array(ciphertext) });
}

/** The secrets inside. Throws `wrong_passphrase`, or `malformed` when it is no vault at all. */
export async function unlock(blob, passphrase, account) {
  const vault = s.unpack(Vault, blob, MAX_VAULT_BYTES);
  const key = await vaultKey(passphrase, vault, "decrypt");
  const plaintext = await opened(vaultParameters(vault.nonce, account), key, vault.ciphertext);
  return s.unpack(AccountSecrets, plaintext);
}

/** A device's name as only the account's own devices read it; throws RangeError beyond 128 bytes. */
export async function sealName(accountSeed, name) {
  const plaintext = utf8(name);
  if (plaintext.length > MAX_NAME_BYTES) throw new RangeError("a device's name has at most 128 bytes");
  const iv = random(NONCE_BYTES);
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await nameKey(accountSeed), plaintext);
  return concat(iv, new Uint8Array(sealed));
}

/** The inverse of `sealName`; throws `wrong_passphrase` when it was sealed by another account. */
export async function openName(accountSeed, sealed) {
  const iv = sealed.subarray(0, NONCE_BYTES);
  const ciphertext = sealed.subarray(NONCE_BYTES);
  const plaintext = await opened({ name: "AES-GCM", iv }, await nameKey(accountSeed), ciphertext);
  return new TextDecoder().decode(plaintext);
}

async function opened(parameters, key, ciphertext) {
  try {
    return new Uint8Array(await crypto.subtle.decrypt(parameters, key, ciphertext));
  } catch (error) {
    throw new E2eeError("wrong_passphrase", "it does not open", { cause: error });
  }
}

function vaultParameters(iv, account) {
  return { name: "AES-GCM", iv, additionalData: utf8(`rapport/v1/vault\0${account}`) };
}

async function vaultKey(passphrase, { passes, memoryKib, lanes, salt }, usage) {
  require(memoryKib >= 8 * lanes, "malformed", "less memory than Argon2id needs");
  const spelling = passphrase.normalize("NFKC"); // keyboards and systems write accents differently
  const raw = await argon2id(utf8(spelling), salt, { passes, memoryKib, lanes, length: 32 });
  return crypto.subtle.importKey("raw", raw, "AES-GCM", false, [usage]);
}

async function nameKey(accountSeed) {
  const raw = await expand(await secretKey(accountSeed), utf8("rapport/v1/device-name"), 32);
  return crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]);
}
