// `openai` for Node, over chat completions and over responses.
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { City, DESCRIPTION, PATIENT, TURNS, WEATHER, temperatureIn } from './task.mjs';

class Client {
  constructor(url) {
    this.client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 0, timeout: PATIENT });
  }

  failure(error) {
    if (error instanceof OpenAI.APIConnectionTimeoutError) return { kind: 'timeout', message: error.message };
    if (error instanceof OpenAI.BadRequestError) return { kind: 'refused', message: error.error.message, status: error.status };
    return { kind: 'other', message: String(error.stack), status: error.status ?? null };
  }
}

class ChatCompletions extends Client {
  static tools = [{ type: 'function', function: { name: 'weather', description: DESCRIPTION, parameters: WEATHER, strict: true } }];

  create({ model, prompt, tokens, ...more }, options) {
    return this.client.chat.completions.create({ model, messages: [{ role: 'user', content: prompt }], max_completion_tokens: tokens, ...more }, options);
  }

  async answer({ seconds, ...asked }) {
    return { text: (await this.create(asked, { timeout: seconds * 1000 })).choices[0].message.content };
  }

  async stream({ leave_after: leaveAfter, ...asked }) {
    const outcome = { text: '', pieces: 0 };
    for await (const chunk of await this.create({ ...asked, stream: true })) {
      const piece = chunk.choices[0]?.delta.content;
      if (!piece) continue;
      outcome.text += piece;
      if (++outcome.pieces === leaveAfter) break;
    }
    return outcome;
  }

  async look({ prompt, image, ...asked }) {
    const content = [{ type: 'text', text: prompt }, { type: 'image_url', image_url: { url: `data:image/png;base64,${image}` } }];
    return { text: (await this.create({ ...asked, prompt: content })).choices[0].message.content };
  }

  async fill({ model, prompt, tokens }) {
    const answer = await this.client.chat.completions.parse({
      model, messages: [{ role: 'user', content: prompt }], max_completion_tokens: tokens, response_format: zodResponseFormat(City, 'city') });
    return { city: answer.choices[0].message.parsed.city };
  }

  async use_tools({ model, prompt, tokens }) {
    const messages = [{ role: 'user', content: prompt }];
    const calls = [];
    for (let turn = 0; turn < TURNS; ++turn) {
      const answer = await this.client.chat.completions.create({ model, messages, max_completion_tokens: tokens, tools: ChatCompletions.tools });
      const { message } = answer.choices[0];
      if (!message.tool_calls?.length) return { text: message.content, calls };
      messages.push(message);
      for (const call of message.tool_calls) {
        calls.push(JSON.parse(call.function.arguments).city);
        messages.push({ role: 'tool', tool_call_id: call.id, content: temperatureIn(calls.at(-1)) });
      }
    }
    return { calls };
  }
}

class Responses extends Client {
  static tools = [{ type: 'function', name: 'weather', description: DESCRIPTION, parameters: WEATHER, strict: true }];

  create({ model, prompt, tokens, ...more }, options) {
    return this.client.responses.create({ model, input: prompt, max_output_tokens: tokens, ...more }, options);
  }

  async answer({ seconds, ...asked }) {
    return { text: (await this.create(asked, { timeout: seconds * 1000 })).output_text };
  }

  async stream({ model, prompt, tokens, leave_after: leaveAfter }) {
    const outcome = { text: '', pieces: 0 };
    for await (const event of this.client.responses.stream({ model, input: prompt, max_output_tokens: tokens })) {
      if (event.type !== 'response.output_text.delta') continue;
      outcome.text += event.delta;
      if (++outcome.pieces === leaveAfter) break;
    }
    return outcome;
  }

  async look({ prompt, image, ...asked }) {
    const content = [{ type: 'input_text', text: prompt }, { type: 'input_image', image_url: `data:image/png;base64,${image}`, detail: 'auto' }];
    return { text: (await this.create({ ...asked, prompt: [{ role: 'user', content }] })).output_text };
  }

  async fill({ model, prompt, tokens }) {
    const answer = await this.client.responses.parse({
      model, input: prompt, max_output_tokens: tokens, text: { format: zodTextFormat(City, 'city') } });
    return { city: answer.output_parsed.city };
  }

  async use_tools({ model, prompt, tokens }) {
    const input = [{ role: 'user', content: prompt }];
    const calls = [];
    for (let turn = 0; turn < TURNS; ++turn) {
      const answer = await this.create({ model, prompt: input, tokens, tools: Responses.tools, store: false });
      const asked = answer.output.filter((item) => item.type === 'function_call');
      if (!asked.length) return { text: answer.output_text, calls };
      input.push(...answer.output);
      for (const call of asked) {
        calls.push(JSON.parse(call.arguments).city);
        input.push({ type: 'function_call_output', call_id: call.call_id, output: temperatureIn(calls.at(-1)) });
      }
    }
    return { calls };
  }
}

export const clients = { 'openai chat completions': ChatCompletions, 'openai responses': Responses };
