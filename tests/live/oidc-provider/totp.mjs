// Time-based one-time codes (RFC 6238: SHA-1, six digits, thirty seconds), as a server checks them.

import { createHmac } from 'node:crypto';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const PERIOD_S = 30;

function decodeBase32(text) {
  const bits = [...text.toUpperCase().replace(/[\s=]/g, '')]
    .map((letter) => {
      const value = ALPHABET.indexOf(letter);
      if (value < 0) throw new Error(`not base32: ${letter}`);
      return value.toString(2).padStart(5, '0');
    })
    .join('');
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => parseInt(byte, 2)));
}

export function codeAt(secret, step) {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(step));
  const digest = createHmac('sha1', decodeBase32(secret)).update(counter).digest();
  const offset = digest[digest.length - 1] & 0xf;
  return String((digest.readUInt32BE(offset) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

/**
 * Says whether `code` is good for `account` now: 'ok', 'wrong' or 'reused'. One step to either side is
 * allowed for clock drift (section 5.2 of the RFC), and a step once used, with all before it, is spent.
 */
export function check(account, code, nowMs) {
  const now = Math.floor(nowMs / 1000 / PERIOD_S);
  const step = [now, now - 1, now + 1].find((candidate) => codeAt(account.totp, candidate) === code);
  if (step === undefined) return 'wrong';
  if (step <= (account.lastTotpStep ?? -1)) return 'reused';
  account.lastTotpStep = step;
  return 'ok';
}
