// `@anthropic-ai/sdk`.
import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';
import { City, DESCRIPTION, PATIENT, TURNS, WEATHER, temperatureIn } from './task.mjs';

class Messages {
  static tools = [{ name: 'weather', description: DESCRIPTION, input_schema: WEATHER }];

  constructor(url) {
    this.messages = new Anthropic({ baseURL: url, apiKey: 'any', maxRetries: 0, timeout: PATIENT }).messages;
  }

  create({ model, prompt, tokens, ...more }, options) {
    return this.messages.create({ model, max_tokens: tokens, messages: [{ role: 'user', content: prompt }], ...more }, options);
  }

  async answer({ seconds, ...asked }) {
    return { text: (await this.create(asked, { timeout: seconds * 1000 })).content[0].text };
  }

  async stream({ model, prompt, tokens, leave_after: leaveAfter }) {
    const outcome = { text: '', pieces: 0 };
    for await (const event of this.messages.stream({ model, max_tokens: tokens, messages: [{ role: 'user', content: prompt }] })) {
      if (event.type !== 'content_block_delta' || event.delta.type !== 'text_delta') continue;
      outcome.text += event.delta.text;
      if (++outcome.pieces === leaveAfter) break;
    }
    return outcome;
  }

  async look({ prompt, image, ...asked }) {
    const content = [{ type: 'text', text: prompt }, { type: 'image', source: { type: 'base64', media_type: 'image/png', data: image } }];
    return { text: (await this.create({ ...asked, prompt: content })).content[0].text };
  }

  async fill({ model, prompt, tokens }) {
    const message = await this.messages.parse({
      model, max_tokens: tokens, messages: [{ role: 'user', content: prompt }], output_config: { format: zodOutputFormat(City) } });
    return { city: message.parsed_output.city };
  }

  async use_tools({ model, prompt, tokens }) {
    const messages = [{ role: 'user', content: prompt }];
    const calls = [];
    for (let turn = 0; turn < TURNS; ++turn) {
      const message = await this.messages.create({ model, max_tokens: tokens, messages, tools: Messages.tools });
      const asked = message.content.filter((block) => block.type === 'tool_use');
      if (!asked.length) return { text: message.content[0].text, calls };
      calls.push(...asked.map((call) => call.input.city));
      messages.push({ role: 'assistant', content: message.content }, { role: 'user', content: asked.map((call) => (
        { type: 'tool_result', tool_use_id: call.id, content: temperatureIn(call.input.city) })) });
    }
    return { calls };
  }

  failure(error) {
    if (error instanceof Anthropic.APIConnectionTimeoutError) return { kind: 'timeout', message: error.message };
    if (error instanceof Anthropic.BadRequestError) return { kind: 'refused', message: error.error.error.message, status: error.status };
    return { kind: 'other', message: String(error.stack), status: error.status ?? null };
  }
}

export const clients = { anthropic: Messages };
