// The official clients' own readers of streams, for Node: the counterpart of compat/parsers_python.py.
import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { DESCRIPTION, PATIENT, WEATHER } from './task.mjs';
import { clients as openai } from './openai.mjs';

const TOKENS = 1000;
const failure = (error) => ({ kind: 'other', message: String(error.stack) });

class ChatParser {
  constructor(url) {
    this.chats = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 0, timeout: PATIENT }).chat.completions;
  }

  message({ model, prompt, streamed, tools }) {
    const asked = { model, messages: [{ role: 'user', content: prompt }], max_tokens: TOKENS, ...(tools && { tools: openai['openai chat completions'].tools }) };
    return streamed ? this.chats.stream({ ...asked, stream_options: { include_usage: true } }).finalChatCompletion() : this.chats.create(asked);
  }

  failure = failure;
}

class ResponsesParser {
  constructor(url) {
    this.responses = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'any', maxRetries: 0, timeout: PATIENT }).responses;
  }

  message({ model, prompt, streamed, tools }) {
    const asked = { model, input: prompt, max_output_tokens: TOKENS, ...(tools && { tools: openai['openai responses'].tools }) };
    return streamed ? this.responses.stream(asked).finalResponse() : this.responses.create(asked);
  }

  failure = failure;
}

class MessagesParser {
  static tools = [{ name: 'weather', description: DESCRIPTION, input_schema: WEATHER }];

  constructor(url) {
    this.messages = new Anthropic({ baseURL: url, apiKey: 'any', maxRetries: 0, timeout: PATIENT }).messages;
  }

  message({ model, prompt, streamed, tools }) {
    const asked = { model, messages: [{ role: 'user', content: prompt }], max_tokens: TOKENS, ...(tools && { tools: MessagesParser.tools }) };
    return streamed ? this.messages.stream(asked).finalMessage() : this.messages.create(asked);
  }

  failure = failure;
}

export const parsers = { 'openai chat completions parser': ChatParser, 'openai responses parser': ResponsesParser, 'anthropic messages parser': MessagesParser };
