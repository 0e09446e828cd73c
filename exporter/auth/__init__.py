"""The sign-in at Entra ID: MSAL behind one class, the token store, and the interactive login."""
