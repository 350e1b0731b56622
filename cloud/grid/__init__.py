"""Pure grid decisions: monitor, dispatch, power flow."""
