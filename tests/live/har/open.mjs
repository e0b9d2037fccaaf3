// Opens an HTTP archive with a validator of the format, and prints what it holds: a line for each request.
import { readFileSync } from "node:fs";
import validator from "har-validator/lib/promise.js";

const archive = JSON.parse(readFileSync(process.argv[2], "utf8"));
try {
  const { log } = await validator.har(archive);
  for (const { pageref, request, response, time } of log.entries) {
    const page = log.pages.find(({ id }) => id === pageref);
    if (!page || !(time >= 0)) throw new Error(`an entry without page or time: ${request.url}`);
    console.log(`${page.id} ${request.method} ${new URL(request.url).pathname} ${response.status}`);
  }
} catch (error) {
  console.error(error.message, JSON.stringify(error.errors ?? [], null, 1));
  process.exit(1);
}
