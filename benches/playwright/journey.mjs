// The journey of a bench probe, as a good Playwright script walks it: one browser, a new context per journey.
//
//   node journey.mjs ISSUER JOURNEYS '<browser arguments as JSON>'
//
// Each journey: authorize with PKCE, sign in, consent, take the code from the redirect to an application that does
// not answer, exchange it, ask userinfo, refresh. Prints `{"journeys", "wall_ms": [...]}`. CPU time is for whoever
// started this to measure, over the whole process tree.

import { createHash, randomBytes } from 'node:crypto';
import { chromium } from 'playwright-core';

const [issuer, journeys, args] = process.argv.slice(2);
const { BENCH_CLIENT: client, BENCH_SECRET: secret, BENCH_USERNAME: username, BENCH_PASSWORD: password, BENCH_REDIRECT: redirect } = process.env;

const random = () => randomBytes(32).toString('base64url');
const formEncode = (text) => new URLSearchParams({ '': text }).toString().slice(1);
const authorization = `Basic ${Buffer.from(`${formEncode(client)}:${formEncode(secret)}`).toString('base64')}`;

async function answer(response) {
  if (!response.ok) throw new Error(`${response.status} ${response.url}: ${await response.text()}`);
  return response.json();
}

async function journey(browser, metadata) {
  const verifier = random();
  const state = random();
  const authorize = new URL(metadata.authorization_endpoint);
  authorize.search = new URLSearchParams({
    client_id: client, redirect_uri: redirect, response_type: 'code', scope: 'openid email offline_access', prompt: 'consent', state, nonce: random(),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  });

  // The browser's own window: to emulate a screen costs time, and the other side does not do it either.
  const context = await browser.newContext({ viewport: null });
  const page = await context.newPage();
  await page.goto(authorize.href, { waitUntil: 'commit' });
  await page.fill('#username', username);
  await page.fill('#password', password);
  await page.click('#sign-in');
  const [callback] = await Promise.all([
    page.waitForRequest((request) => request.url().startsWith(redirect)),
    page.click('#allow'),
  ]);
  const { searchParams } = new URL(callback.url());
  const closing = context.close();
  if (searchParams.get('state') !== state) throw new Error('state came back changed');

  const token = async (parameters) => answer(await fetch(metadata.token_endpoint, { method: 'POST', headers: { authorization }, body: new URLSearchParams(parameters) }));
  const tokens = await token({ grant_type: 'authorization_code', code: searchParams.get('code'), redirect_uri: redirect, code_verifier: verifier });
  const user = await answer(await fetch(metadata.userinfo_endpoint, { headers: { authorization: `Bearer ${tokens.access_token}` } }));
  if (user.email !== username) throw new Error('userinfo is about somebody else');
  await token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token });
  await closing;
}

const metadata = await answer(await fetch(`${issuer}/.well-known/openid-configuration`));
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: JSON.parse(args) });
const wall_ms = [];
try {
  for (let index = 0; index < Number(journeys); index += 1) {
    const start = performance.now();
    await journey(browser, metadata);
    wall_ms.push(Math.round(performance.now() - start));
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify({ journeys: wall_ms.length, wall_ms }));
