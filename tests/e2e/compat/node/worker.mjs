// Asks the clients for Node: one JSON line in, {client, url, method, arguments}; one out, the outcome as compat/client.py has it.
import { createInterface } from 'node:readline';
import { clients as ai } from './ai.mjs';
import { clients as anthropic } from './anthropic.mjs';
import { clients as openai } from './openai.mjs';
import { parsers } from './parsers.mjs';

const clients = { ...openai, ...anthropic, ...ai, ...parsers };
const made = new Map();

for await (const line of createInterface({ input: process.stdin })) {
  const { client: name, url, method, arguments: asked } = JSON.parse(line);
  let client = made.get(name + url);
  if (!client) made.set(name + url, (client = new clients[name](url)));
  let outcome;
  try {
    outcome = await client[method](asked);
  } catch (error) {
    outcome = { failure: { status: null, ...client.failure(error) } };
  }
  console.log(JSON.stringify(outcome));
}
