"""What a network does where its ticket is changed: answers of the error, answers of the flow."""
