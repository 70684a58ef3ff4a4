// What all clients for Node are asked: the counterparts of compat/client.py.
import { z } from 'zod';

export const PATIENT = 60_000 * Number(process.env.THALWEG_PATIENCE ?? 1);
export const TURNS = 4;
export const City = z.strictObject({ city: z.enum(['Bern', 'Basel']) });
export const WEATHER = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false };
export const DESCRIPTION = 'The temperature in a city';
const TEMPERATURES = { 'Zürich': '12 °C', Bern: '9 °C' };
export const temperatureIn = (city) => TEMPERATURES[city];
