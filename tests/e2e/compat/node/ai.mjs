// Vercel's `ai` with its providers for OpenAI (responses and chat completions), for what is compatible with it, and for Anthropic.
import { APICallError, Output, generateText, isStepCount, streamText, tool } from 'ai';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { z } from 'zod';
import { City, DESCRIPTION, PATIENT, TURNS, temperatureIn } from './task.mjs';

class Client {
  async generate({ model, prompt, tokens, seconds, ...more }) {
    return generateText({ model: this.model(model), prompt, maxOutputTokens: tokens, maxRetries: 0, timeout: seconds ? seconds * 1000 : PATIENT, ...more });
  }

  async answer(asked) {
    return { text: (await this.generate(asked)).text };
  }

  async stream({ model, prompt, tokens, leave_after: leaveAfter }) {
    const outcome = { text: '', pieces: 0 };
    const leaving = new AbortController();
    const fault = {};
    const stream = streamText({ model: this.model(model), prompt, maxOutputTokens: tokens, maxRetries: 0, abortSignal: leaving.signal,
      onError: ({ error }) => { fault.error = error; } });
    for await (const piece of stream.textStream) {
      if (!piece) continue;
      outcome.text += piece;
      if (++outcome.pieces === leaveAfter) {
        leaving.abort();
        break;
      }
    }
    if (fault.error) throw fault.error;
    return outcome;
  }

  async look({ prompt, image, ...asked }) {
    const content = [{ type: 'text', text: prompt }, { type: 'file', data: image, mediaType: 'image/png' }];
    return { text: (await this.generate({ ...asked, prompt: [{ role: 'user', content }] })).text };
  }

  async fill(asked) {
    return { city: (await this.generate({ ...asked, output: Output.object({ schema: City }) })).output.city };
  }

  async use_tools(asked) {
    const calls = [];
    const weather = tool({
      description: DESCRIPTION, inputSchema: z.strictObject({ city: z.string() }),
      execute: async ({ city }) => {
        calls.push(city);
        return temperatureIn(city);
      } });
    const { text } = await this.generate({ ...asked, tools: { weather }, stopWhen: isStepCount(TURNS) });
    return { text, calls };
  }

  failure(error) {
    if (APICallError.isInstance(error) && error.statusCode === 400) return { kind: 'refused', message: error.message, status: 400 };
    if (error.name === 'TimeoutError') return { kind: 'timeout', message: error.message };
    return { kind: 'other', message: String(error.stack), status: error.statusCode ?? null };
  }
}

const over = (provider, choose) => class extends Client {
  constructor(url) {
    super();
    this.provider = provider({ name: 'thalweg', baseURL: `${url}/v1`, apiKey: 'any', supportsStructuredOutputs: true });
  }

  model(name) {
    return choose(this.provider, name);
  }
};

export const clients = {
  '@ai-sdk/openai responses': over(({ baseURL, apiKey }) => createOpenAI({ baseURL, apiKey }), (provider, name) => provider(name)),
  '@ai-sdk/openai chat completions': over(({ baseURL, apiKey }) => createOpenAI({ baseURL, apiKey }), (provider, name) => provider.chat(name)),
  '@ai-sdk/openai-compatible': over(createOpenAICompatible, (provider, name) => provider(name)),
  '@ai-sdk/anthropic': over(({ baseURL, apiKey }) => createAnthropic({ baseURL, apiKey }), (provider, name) => provider(name)),
};
