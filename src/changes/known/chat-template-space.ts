import { inModel, real } from '../make.ts';

export const chatTemplateSpace = real(
  'chat-template-space',
  'one space in the chat template',
  'a prompt with `messages`',
  false,
  (subject) => inModel(subject, { kind: 'chat-template-space' }),
);
