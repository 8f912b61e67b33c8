export const spark = () => null;
export const tableButton = () => null;
export const spread = () => [];
export const chart = () => null;
