// Runs jobs with the unmodified openai client for Node: reads {base_url, api_key, max_retries, jobs} from THALWEG_JOBS, prints one
// JSON line a job. A job is {call, params, options, cancel_after}: `call` like "chat.completions.create". A streamed answer comes back as its
// chunks; an error as its class and what an application can read from it.
import OpenAI from 'openai';

const { base_url: baseURL, api_key: apiKey, max_retries: maxRetries, timeout, jobs } = JSON.parse(process.env.THALWEG_JOBS);
const client = new OpenAI({ baseURL, apiKey, maxRetries, timeout });

// The class is found by instanceof: bundlers may rename constructors, applications catch by class.
const classes = ['BadRequestError', 'AuthenticationError', 'PermissionDeniedError', 'NotFoundError', 'ConflictError', 'UnprocessableEntityError',
  'RateLimitError', 'InternalServerError', 'APIUserAbortError', 'APIConnectionTimeoutError', 'APIConnectionError', 'APIError'];
const describe = (error) => ({
  class: classes.find((name) => error instanceof OpenAI[name]) ?? error.constructor.name,
  status: error.status ?? null, code: error.code ?? null, param: error.param ?? null, type: error.type ?? null,
  message: error.message, request_id: error.requestID ?? null,
});

for (const { call, params, options, cancel_after: cancelAfter } of jobs) {
  const outcome = { chunks: [] };
  try {
    const names = call.split('.');
    const method = names.pop();
    const resource = names.reduce((object, name) => object[name], client);
    const answer = await (Array.isArray(params) ? resource[method](...params) : resource[method](params, options));
    if (params?.stream) {
      for await (const chunk of answer) {
        outcome.chunks.push(chunk);
        if (outcome.chunks.length === cancelAfter) {
          answer.controller.abort();
          break;
        }
      }
    } else if (method === 'list') {
      outcome.answer = [];
      for await (const item of answer) outcome.answer.push(item);
    } else {
      outcome.answer = answer;
    }
  } catch (error) {
    outcome.error = describe(error);
  }
  console.log(JSON.stringify(outcome));
}
